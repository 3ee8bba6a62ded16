"""Whatever callers and workers do, in whatever order: whoever waits will hear of it.

`test_engine_properties` looks at each instance by itself; here it is what instances owe one
another, and what a commit tells those who only listen.

A run is a list of steps; each is carried out where it makes sense and skipped where not.
Old turns and completed tasks are kept, so that late and repeated answers occur too.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durabletask.protocol import events, messages
from durabletask.sidecar.engine.commands import (
    CompleteActivity,
    CompleteTurn,
    RaiseEvent,
    Resume,
    StartInstance,
    Suspend,
    Terminate,
)
from durabletask.sidecar.store import Key
from tests.builders.engine import (
    EPOCH,
    HUB,
    EngineDriver,
    again,
    child,
    end,
    fail,
    failure,
    kill,
    schedule,
    send,
    timer,
)
from tests.properties.strategies import weighted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from durabletask.sidecar.commit.notifications import Notifications
    from durabletask.sidecar.engine.commands import Command, DispatchedTurn
    from durabletask.sidecar.engine.state import Instance

    Step = tuple[Any, ...]

INSTANCES = ("a", "b", "c")

ids = st.sampled_from(INSTANCES)
action_ids = st.integers(1, 4)
seconds = st.integers(0, 3)

# Timers are relative to the turn, so they are made when it is answered.
lasting = (
    st.builds(schedule, action_ids),
    st.builds(child, action_ids, ids),
    st.builds(send, action_ids, ids, st.just("note")),
    st.tuples(st.just("timer"), action_ids, seconds),
)
actions = st.one_of(*lasting, *lasting, st.builds(kill, action_ids, ids, recurse=st.booleans()))
carried = st.lists(st.builds(events.event_raised, st.just("kept"), st.none()), max_size=2)
conclusions = st.one_of(
    st.just(end(9, "1")),
    st.just(fail(9)),
    st.just(messages.OrchestratorAction(id=9)),
    st.builds(lambda events: again("2", carry=tuple(events)), carried),
)
answers = st.builds(
    lambda asked, last: [*asked, *last],
    st.lists(actions, min_size=1, max_size=4),
    weighted((2, st.just([])), (1, st.lists(conclusions, max_size=1))),
)
replaceable = st.sampled_from([frozenset(), frozenset({1, 3, 5}), frozenset(range(8))])

commands = weighted(
    (3, st.just(RaiseEvent("note"))),
    (1, st.just(Suspend())),
    (1, st.just(Resume())),
    (1, st.builds(Terminate, st.just("0"), st.booleans())),
)
starts = st.builds(StartInstance, st.just("order"), replaceable=replaceable)
numbers = st.integers(0, 50)
turns = st.tuples(st.just("turn"), numbers, answers)
tasks = st.tuples(st.just("task"), numbers, st.booleans())
# What makes things happen comes more often than what ends them.
steps = weighted(
    (4, turns),
    (2, tasks),
    (1, st.tuples(st.just("late_task"), numbers)),
    (1, st.tuples(st.just("late_turn"), numbers, answers)),
    (1, st.tuples(st.just("start"), ids, replaceable, seconds)),
    (1, st.tuples(st.just("command"), ids, commands)),
    (1, st.tuples(st.just("time"), seconds)),
)
runs = st.lists(steps, min_size=15, max_size=50).map(
    lambda rest: [("start", "a", frozenset(), 0), *rest]
)


class Player:
    """Carries out steps, and remembers what workers hold."""

    def __init__(self) -> None:
        self.hub = EngineDriver()
        self.turns: list[tuple[str, DispatchedTurn]] = []
        self.notifications: list[Notifications] = []

    def play(self, run: Iterable[Step], check: Callable[[Player], None]) -> None:
        carry_out: dict[str, Callable[..., None]] = {
            "start": self._start,
            "turn": self._turn,
            "late_turn": self._late_turn,
            "task": self._task,
            "late_task": self._late_task,
            "command": self.submit,
            "time": self._time,
        }
        for kind, *what in run:
            carry_out[kind](*what)
            check(self)

    def submit(self, to: str, command: Command) -> None:
        self.notifications.append(self.hub.commit((to, command)).notifications)

    def instances(self) -> list[Instance]:
        found = (self.hub.committer.instance(HUB, id) for id in INSTANCES)
        return [instance for instance in found if instance is not None]

    def _start(self, to: str, replaceable: frozenset[int], delay: int) -> None:
        at = self.hub.now + timedelta(seconds=delay)
        self.submit(to, StartInstance("order", scheduled_start=at, replaceable=replaceable))

    def _turn(self, number: int, answer: list[Any]) -> None:
        ready = [id for id in INSTANCES if self.hub.turn(id) is not None]
        if ready:
            to = ready[number % len(ready)]
            turn = self.hub.taken(to)
            self.turns.append((to, turn.prepared.turn))
            self._answer(to, turn.prepared.turn, answer)

    def _late_turn(self, number: int, answer: list[Any]) -> None:
        if self.turns:
            to, turn = self.turns[number % len(self.turns)]
            self._answer(to, turn, answer)

    def _task(self, number: int, is_good: bool) -> None:
        outstanding = list(self.hub.store.outstanding_tasks())
        if outstanding:
            key, task = outstanding[number % len(outstanding)]
            outcome = None if is_good else failure()
            self.submit(key.instance_id, CompleteActivity(task.key, "1", outcome))

    def _late_task(self, number: int) -> None:
        if self.hub.tasks:
            task = self.hub.tasks[number % len(self.hub.tasks)]
            self.submit(task.instance_id, CompleteActivity(task.task_key, "late"))

    def _time(self, passed: int) -> None:
        self.hub.pass_time(timedelta(seconds=passed))

    def _answer(self, to: str, turn: DispatchedTurn, answer: list[Any]) -> None:
        asked = [
            timer(one[1], self.hub.now + timedelta(seconds=one[2]))
            if isinstance(one, tuple)
            else one
            for one in answer
        ]
        self.submit(to, CompleteTurn(turn, asked))


@pytest.mark.slow
@given(runs)
def test_who_waits_for_a_child_will_hear_of_it(run: list[Step]) -> None:
    def check(player: Player) -> None:
        for parent in player.instances():
            for row in parent.children.values():
                kid = player.hub.state(row.child_id)
                link = kid.origin.parent
                assert kid.is_live
                assert link is not None
                assert (link.instance_id, link.task_id) == (parent.instance_id, row.task_id)
                assert link.execution_id == parent.origin.execution_id

    Player().play(run, check)


@pytest.mark.slow
@given(runs)
def test_notices_alone_tell_of_everything_that_becomes_ready(run: list[Step]) -> None:
    """A dispatcher that only listens never misses what the store holds."""
    player = Player()
    player.hub.committer.ready(player.hub.now)
    turns: set[str] = set()
    tasks: set[str] = set()

    def listen(player: Player) -> None:
        for notifications in (*player.notifications, player.hub.committer.due(player.hub.now)):
            turns.update(turn.instance_id for turn in notifications.turns)
            tasks.difference_update(key for _, _, key in notifications.withdrawn)
            tasks.update(task.task_key for task in notifications.tasks)
        player.notifications.clear()
        for id in INSTANCES:
            if player.hub.turn(id) is None:
                turns.discard(id)  # a dispatcher finds that out when it loads the turn
        assert turns == {id for id in INSTANCES if player.hub.turn(id) is not None}
        assert tasks == {row.key for _, row in player.hub.store.outstanding_tasks()}

    player.play(run, listen)


@given(st.lists(st.tuples(ids, st.one_of(commands, starts)), max_size=20))
def test_several_submissions_in_one_commit_mean_the_same_as_one_by_one(
    submissions: list[tuple[str, Command]],
) -> None:
    """Group commit decides when something is stored, never what."""
    together, apart = EngineDriver(), EngineDriver()

    replies = together.commit(*submissions).replies
    for submission, reply in zip(submissions, replies, strict=True):
        apart.now = EPOCH
        assert apart.commit(submission).replies == (reply,)

    for id in INSTANCES:
        key = Key(HUB, id)
        assert parts(together.store.load(key)) == parts(apart.store.load(key))
        assert together.store.history(key) == apart.store.history(key)


def parts(instance: Instance | None) -> Any:
    if instance is None:
        return None
    inbox = sorted(instance.inbox, key=lambda row: row.number)
    return instance.origin, instance.progress, inbox, instance.tasks, instance.children
