"""Carry out commands, with all that follows from them, in one commit.

The engine sees one instance at a time. What it wants of others are commands too; they are
carried out breadth first, over states that are not committed yet, until none is left.
Then everything is committed at once, and only then anybody is told.

Has no clock and no threads: it is told the time, and called by one caller at a time.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from durabletask.protocol import codec, messages, wire

from .engine import apply, turns
from .engine.state import blank
from .store import Change, Key, ReadyTurn
from .store.splicing import NEW_EVENTS, spliced

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from .engine.commands import Command, TurnTaken
    from .engine.state import Instance, TaskRow
    from .engine.transition import Reply, Transition
    from .store import Store

# Instances kept with their rows after they were last touched.
_HOT_INSTANCES = 10_000

# WorkItem.orchestrator_request, .activity_request and .completion_token
_ORCHESTRATOR_REQUEST = 1
_ACTIVITY_REQUEST = 2
_COMPLETION_TOKEN = 10


@dataclass(frozen=True, slots=True)
class Submission:
    """A command and the instance it is for."""

    hub: str
    instance_id: str
    command: Command


@dataclass(frozen=True, slots=True)
class ReadyTask:
    """An activity to hand to a worker."""

    hub: str
    instance_id: str
    task_key: str
    task_id: int
    name: str
    version: str | None


@dataclass(frozen=True, slots=True)
class Notices:
    """What a commit, or the passing of time, means for those who wait."""

    turns: tuple[ReadyTurn, ...] = ()
    tasks: tuple[ReadyTask, ...] = ()
    changed: tuple[Key, ...] = ()
    void_turns: tuple[Key, ...] = ()
    """A new execution has begun, or the instance ended: a turn that is out is void."""
    ended: tuple[Key, ...] = ()
    withdrawn: tuple[tuple[str, str, str], ...] = ()
    """Hub, instance id and task key of activities that are not outstanding any more."""


@dataclass(frozen=True, slots=True)
class Commit:
    """The replies, in the order of the submissions, and the notices."""

    replies: tuple[Reply, ...]
    notices: Notices


@dataclass(frozen=True, slots=True)
class PreparedTurn:
    """A work item, and what committing the answer to it will need."""

    turn: TurnTaken
    work_item: bytes


class Committer:
    """The one who writes to the store."""

    def __init__(self, store: Store, *, most_hot: int = _HOT_INSTANCES) -> None:
        self._store = store
        self._most_hot = most_hot
        self._hot: OrderedDict[Key, Instance] = OrderedDict()
        self._told_until: datetime | None = None

    def instance(self, hub: str, instance_id: str) -> Instance | None:
        """The committed state; the caller only reads it."""
        self._trim()
        return self.find(Key(hub, instance_id))

    def find(self, key: Key) -> Instance | None:
        """The state as it is in the midst of a commit."""
        hot = self._hot.get(key)
        if hot is not None:
            self._hot.move_to_end(key)
            return hot
        loaded = self._store.load(key)
        if loaded is not None:
            self._hot[key] = loaded
        return loaded

    def commit(
        self, submissions: Sequence[Submission], *, now: datetime, new_id: Callable[[], str]
    ) -> Commit:
        """Carry out the submissions in order, in one transaction.

        When the store raises, nothing has happened: not in the store, and not here.
        """
        step = _Step(self, now, new_id)
        try:
            replies = [step.carry_out(submission) for submission in submissions]
            changes = step.changes()
            if changes:
                self._store.commit(changes)
        except BaseException:
            # They were changed in place; the store still has them as they were.
            for key in step.touched:
                self._hot.pop(key, None)
            raise
        notices = self._notices(changes, step.withdrawn, submissions, now)
        self._trim()
        return Commit(tuple(replies), notices)

    def prepare_turn(
        self, hub: str, instance_id: str, *, token: str, now: datetime, room: int
    ) -> PreparedTurn | None:
        """The next turn of an orchestration; None when it has nothing to do.

        `room` is how many bytes the work item may have. Events wait for the turn after when
        they do not fit beside the history; the first is sent whatever its size.
        """
        instance = self.instance(hub, instance_id)
        if instance is None or instance.due_at() is None:
            return None
        history = self._store.history(Key(hub, instance_id))
        turn = turns.prepare(instance, now, room - len(history))
        if turn is None:
            return None
        return PreparedTurn(turn, _turn_item(instance, turn, history, token))

    def activity_work_item(
        self, hub: str, instance_id: str, task_key: str, *, token: str
    ) -> bytes | None:
        """The work item of an activity; None when it has an outcome already."""
        instance = self.instance(hub, instance_id)
        row = None if instance is None else instance.task_with_key(task_key)
        return None if row is None else _work_item(_ACTIVITY_REQUEST, row.request, token)

    def ready(self, now: datetime) -> Notices:
        """Everything that waits for a worker; what a sidecar begins with."""
        self._told_until = now
        return Notices(
            turns=tuple(self._store.due(None, now)),
            tasks=tuple(_ready_task(key, row) for key, row in self._store.outstanding_tasks()),
        )

    def due(self, now: datetime) -> Notices:
        """What has become ready by the passing of time since it was last asked."""
        found = tuple(self._store.due(self._told_until, now))
        self._told_until = now
        return Notices(turns=found)

    def next_due(self, now: datetime) -> datetime | None:
        """When time alone makes the next orchestration ready; None when it never does."""
        return self._store.next_due(now)

    def live_children(self, key: Key) -> Iterable[str]:
        return self._store.live_children(key)

    def adopt(self, key: Key, instance: Instance) -> None:
        """Keep an instance that a commit is about to create."""
        self._hot[key] = instance

    def _trim(self) -> None:
        # Never in the middle of a commit, whose states are nowhere else yet.
        while len(self._hot) > self._most_hot:
            self._hot.popitem(last=False)

    def _notices(
        self,
        changes: Sequence[Change],
        withdrawn: Sequence[tuple[str, str, str]],
        submissions: Sequence[Submission],
        now: datetime,
    ) -> Notices:
        touched = {change.key: change for change in changes}
        # A turn that was refused leaves an instance that may have more to do.
        asked = {Key(each.hub, each.instance_id): None for each in submissions}
        return Notices(
            turns=tuple(self._ready_turns({**asked, **dict.fromkeys(touched)}, now)),
            tasks=tuple(task for change in changes for task in _ready_tasks(change)),
            changed=tuple(touched),
            void_turns=tuple(change.key for change in changes if _voids_turns(change)),
            ended=tuple(change.key for change in changes if not change.instance.is_live),
            withdrawn=tuple(withdrawn),
        )

    def _ready_turns(self, keys: Iterable[Key], now: datetime) -> Iterable[ReadyTurn]:
        for key in keys:
            instance = self._hot.get(key)
            due_at = None if instance is None else instance.due_at()
            if instance is not None and due_at is not None and due_at <= now:
                origin = instance.origin
                yield ReadyTurn(key.hub, key.instance_id, origin.name, origin.version)


class _Step:
    """One commit in the making."""

    def __init__(self, committer: Committer, now: datetime, new_id: Callable[[], str]) -> None:
        self._committer = committer
        self._now = now
        self._new_id = new_id
        self._transitions: dict[Key, list[Transition]] = {}
        # Of the instances that this commit touches; the store knows the children of others.
        self._parents: dict[Key, Key | None] = {}
        self.withdrawn: list[tuple[str, str, str]] = []

    @property
    def touched(self) -> Iterable[Key]:
        return self._transitions

    def changes(self) -> list[Change]:
        found = []
        for key, transitions in self._transitions.items():
            instance = self._committer.find(key)
            assert instance is not None
            found.append(Change(key, instance, tuple(transitions)))
        return found

    def carry_out(self, submission: Submission) -> Reply:
        """Apply one command and all that follow from it; the reply is the first one's."""
        key = Key(submission.hub, submission.instance_id)
        first = self._apply(key, submission.command)
        waiting = deque([(key, first)])
        # Links from child to parent can form a circle, and each is told once.
        asked_for_children: set[Key] = set()
        while waiting:
            key, transition = waiting.popleft()
            follow_ups = [
                (Key(key.hub, each.instance_id), each.command) for each in transition.follow_ups
            ]
            if transition.for_children is not None and key not in asked_for_children:
                asked_for_children.add(key)
                follow_ups += [(child, transition.for_children) for child in self._children(key)]
            for target, command in follow_ups:
                waiting.append((target, self._apply(target, command)))
        return first.reply

    def _apply(self, key: Key, command: Command) -> Transition:
        instance = self._committer.find(key)
        transition = apply(instance, key.instance_id, command, now=self._now, new_id=self._new_id)
        if transition.changes:
            # Before anything is changed, so that a failure finds what there is to forget.
            self._transitions.setdefault(key, []).append(transition)
            self._absorb(key, instance, transition)
        return transition

    def _absorb(self, key: Key, instance: Instance | None, transition: Transition) -> None:
        if instance is None:
            instance = blank(key.instance_id, transition)
            self._committer.adopt(key, instance)
        for row in instance.tasks_that_go(transition):
            self.withdrawn.append((*key, row.key))
        instance.absorb(transition)
        link = instance.origin.parent
        self._parents[key] = None if link is None else Key(key.hub, link.instance_id)

    def _children(self, parent: Key) -> list[Key]:
        """The children in the store, and as this commit has changed them."""
        stored = (Key(parent.hub, child) for child in self._committer.live_children(parent))
        found = dict.fromkeys(child for child in stored if child not in self._parents)
        found |= dict.fromkeys(
            child for child, its_parent in self._parents.items() if its_parent == parent
        )
        return list(found)


def _voids_turns(change: Change) -> bool:
    begins = any(transition.origin is not None for transition in change.transitions)
    return begins or not change.instance.is_live


def _ready_tasks(change: Change) -> Iterable[ReadyTask]:
    for transition in change.transitions:
        for row in transition.tasks_add:
            # A later command of the same commit may have taken it back.
            if row.number in change.instance.tasks:
                yield _ready_task(change.key, row)


def _ready_task(key: Key, row: TaskRow) -> ReadyTask:
    return ReadyTask(key.hub, key.instance_id, row.key, row.task_id, row.name, row.version)


def _turn_item(instance: Instance, turn: TurnTaken, history: bytes, token: str) -> bytes:
    head = codec.encode(
        messages.OrchestratorRequest(
            instance_id=instance.instance_id,
            execution_id=turn.execution_id,
            orchestration_trace_context=instance.progress.trace_context,
        )
    )
    request = b"".join((head, history, spliced(turn.new_events, NEW_EVENTS)))
    return _work_item(_ORCHESTRATOR_REQUEST, request, token)


def _work_item(field_number: int, request: bytes, token: str) -> bytes:
    completion_token = wire.length_delimited(_COMPLETION_TOKEN, token.encode())
    return wire.length_delimited(field_number, request) + completion_token
