"""Whole orchestrations over a store, in one thread: sidecar and SDK without a network.

What happens next follows only from what is committed: activities first, then turns, then the
client's next call; time passes only when nothing else can happen. So a run that is interrupted
and continued over the same store must end like one that was not.
"""

from __future__ import annotations

import itertools
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from durabletask.core.activity import CallOutcome, Raised, Returned, finish, prepare
from durabletask.core.entity_batch import from_v2, run_batch
from durabletask.core.orchestration import decide
from durabletask.core.registry import Registry
from durabletask.core.settings import Settings
from durabletask.protocol import codec, messages
from durabletask.sidecar.commit.committer import Committer, Submission
from durabletask.sidecar.engine.commands import CompleteActivity, CompleteTurn
from durabletask.sidecar.engine.entities.commands import CompleteBatch
from durabletask.sidecar.store import Key
from durabletask.sidecar.store.queries import EntityQuery
from durabletask.sidecar.work.items import WorkItemSource
from tests.builders.flushes import apart

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from durabletask.sidecar.commit.committer import Commit
    from durabletask.sidecar.commit.notifications import Notifications, Work
    from durabletask.sidecar.engine.commands import Command
    from durabletask.sidecar.engine.transition import Reply
    from durabletask.sidecar.store import Store

HUB = "default"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
ROOMY = 1 << 30

_SETTINGS = Settings()


class Call(NamedTuple):
    """What a client asks of an instance."""

    command: Command
    instance_id: str = "a"


@dataclass(frozen=True)
class Scenario:
    """Functions that a worker hosts, and what a client does, each call when all is at rest."""

    orchestrators: Sequence[Callable[..., Any]]
    activities: Sequence[Callable[..., Any]]
    calls: Sequence[Call]
    entities: Sequence[Any] = ()

    def registry(self) -> Registry:
        registry = Registry()
        for orchestrator in self.orchestrators:
            registry.add_orchestrator(orchestrator)
        for activity in self.activities:
            registry.add_activity(activity)
        for entity in self.entities:
            registry.add_entity(entity)
        return registry


class Activity(NamedTuple):
    """Which call of an activity; the same one may run more than once."""

    instance_id: str
    name: str
    input: str | None


@dataclass
class Outside:
    """What outlives a sidecar: the time, the client, and what workers have done."""

    calls: deque[Call]
    unanswered: Call | None = None
    """The call that the client was waiting for when the sidecar went away."""
    now: datetime = NOON
    replies: list[tuple[Call, Reply]] = field(default_factory=list)
    runs: Counter[Activity] = field(default_factory=Counter)
    in_flight: list[Activity] = field(default_factory=list)
    """What workers have run and reported, and the sidecar has not acknowledged."""
    ids: Iterable[int] = field(default_factory=itertools.count)

    @classmethod
    def of(cls, scenario: Scenario) -> Outside:
        return cls(deque(scenario.calls))


class InlineSidecar:
    """One life of a sidecar over a store, with a worker and a client of its own.

    With `grouped`, everything that is ready goes in one commit, as under load; without,
    each thing in its own. With `flushes_apart`, commits wait for the disk on another thread.
    """

    def __init__(
        self,
        store: Store,
        scenario: Scenario,
        outside: Outside,
        *,
        grouped: bool = False,
        flushes_apart: bool = False,
    ) -> None:
        self.outside = outside
        self.committer = Committer(store)
        self._items = WorkItemSource(self.committer)
        self._registry = scenario.registry()
        self._most = 1000 if grouped else 1
        self._flushes_apart = flushes_apart
        self._ids = iter(outside.ids)
        self._tasks: dict[str, Work] = {}
        self._turns: set[str] = set()
        self._batches: set[str] = set()
        self._hear(self.committer.ready(outside.now))

    def run(self) -> None:
        """Let everything happen until nothing will happen any more."""
        while (
            self._run_activities()
            or self._run_batches()
            or self._take_turns()
            or self._call()
            or self._wait()
        ):
            pass

    def _run_activities(self) -> bool:
        ready = sorted(self._tasks.values(), key=lambda task: (task.instance_id, task.task_id))
        self.outside.in_flight.clear()
        outcomes = [(task.instance_id, self._run(task)) for task in ready[: self._most]]
        is_done = self._commit(outcomes)
        self.outside.in_flight.clear()
        return is_done

    def _run(self, task: Work) -> CompleteActivity:
        raw = self._items.activity_work_item(HUB, task.instance_id, task.task_key, token="")
        assert raw is not None, f"{task} was handed out, but is not outstanding"
        request = codec.decode(messages.WorkItem, raw).activity_request
        assert request is not None
        activity = Activity(task.instance_id, request.name, request.input)
        self.outside.runs[activity] += 1
        self.outside.in_flight.append(activity)
        outcome: CallOutcome
        try:
            outcome = Returned(prepare(request, self._registry, _SETTINGS).call())
        except Exception as error:
            outcome = Raised(error)
        response = finish(request, outcome, _SETTINGS, completion_token="")
        return CompleteActivity(task.task_key, response.result, response.failure_details)

    def _run_batches(self) -> bool:
        ready = sorted(self._batches)[: self._most]
        return self._commit((id, self._operate(id)) for id in ready)

    def _operate(self, entity_id: str) -> CompleteBatch:
        prepared = self._items.prepare_batch(
            HUB, entity_id, token="", now=self.outside.now, room=ROOMY
        )
        assert prepared is not None, f"'{entity_id}' was said to be ready, but is not"
        request = codec.decode(messages.WorkItem, prepared.work_item).entity_request_v2
        assert request is not None
        batch, _ = from_v2(request)
        result = run_batch(
            batch, self._registry, _SETTINGS, now=lambda: self.outside.now, completion_token=""
        )
        return CompleteBatch(
            prepared.batch,
            result.results,
            result.actions,
            result.entity_state,
            result.failure_details,
        )

    def _take_turns(self) -> bool:
        ready = sorted(self._turns)[: self._most]
        return self._commit((id, self._decide(id)) for id in ready)

    def _decide(self, instance_id: str) -> CompleteTurn:
        prepared = self._items.prepare_turn(
            HUB, instance_id, token="", now=self.outside.now, room=ROOMY
        )
        assert prepared is not None, f"'{instance_id}' was said to be ready, but is not"
        request = codec.decode(messages.WorkItem, prepared.work_item).orchestrator_request
        assert request is not None
        decision = decide(request, self._registry, _SETTINGS)
        return CompleteTurn(prepared.turn, decision.actions, decision.custom_status)

    def _call(self) -> bool:
        if not self.outside.calls:
            return False
        call = self.outside.unanswered = self.outside.calls[0]
        commit = self._store([Submission(HUB, call.instance_id, call.command)])
        # Only now does the client know, so that a crash makes it call again.
        self.outside.calls.popleft()
        self.outside.unanswered = None
        self.outside.replies.append((call, commit.replies[0]))
        self._hear(commit.notifications)
        return True

    def _wait(self) -> bool:
        due_at = self.committer.next_due(self.outside.now)
        if due_at is None:
            return False
        self.outside.now = due_at
        self._hear(self.committer.due(due_at))
        return True

    def _commit(self, commands: Iterable[tuple[str, Command]]) -> bool:
        submissions = [Submission(HUB, id, command) for id, command in commands]
        if not submissions:
            return False
        commit = self._store(submissions)
        for submission in submissions:
            if isinstance(submission.command, CompleteActivity):
                self._tasks.pop(submission.command.task_key, None)
            else:
                self._turns.discard(submission.instance_id)
                self._batches.discard(submission.instance_id)
        self._hear(commit.notifications)
        return True

    def _store(self, submissions: Sequence[Submission]) -> Commit:
        now, new_id = self.outside.now, self._new_id
        if self._flushes_apart:
            return apart(self.committer.begin(submissions, now=now, new_id=new_id))
        return self.committer.commit(submissions, now=now, new_id=new_id)

    def _hear(self, notifications: Notifications) -> None:
        for key in notifications.void_turns:
            self._turns.discard(key.instance_id)
        self._turns.update(turn.instance_id for turn in notifications.turns)
        self._batches.update(batch.instance_id for batch in notifications.batches)
        self._tasks.update((task.task_key, task) for task in notifications.tasks)
        for _, _, task_key in notifications.withdrawn:
            self._tasks.pop(task_key, None)

    def _new_id(self) -> str:
        return f"{next(self._ids):032x}"


@dataclass(frozen=True)
class Ending:
    """What is left of an instance; equal when it does not matter how it came to be."""

    status: str
    output: str | None
    custom_status: str | None
    failure: messages.TaskFailureDetails | None
    history: tuple[messages.HistoryEvent, ...]

    @property
    def result(self) -> tuple[str, str | None]:
        return self.status, self.output


def endings(store: Store, instance_ids: Iterable[str]) -> dict[str, Ending | None]:
    """What the store holds of these instances; None of one that is not there."""
    return {id: _ending(store, Key(HUB, id)) for id in instance_ids}


def leftovers(store: Store, instance_ids: Iterable[str]) -> list[str]:
    """Rows that wait for something, though nothing will happen any more."""
    found = [f"task {row.key} of {key.instance_id}" for key, row in store.outstanding_tasks()]
    for id in instance_ids:
        instance = store.load(Key(HUB, id))
        if instance is None:
            found += [f"history of {id}"] if store.history(Key(HUB, id)) else []
            continue
        found += [f"inbox row {row.number} of {id}" for row in instance.inbox]
        found += [f"child {row.child_id} of {id}" for row in instance.children.values()]
        found += [f"call of {row.entity_id} by {id}" for row in instance.calls.values()]
        found += [f"lock of {', '.join(row.lock_set)} by {id}" for row in instance.locks.values()]
    for entity in store.entities(HUB, EntityQuery()):
        holder = entity.progress.holder
        found += [f"{entity.backlog} messages for {entity.entity_id}"] if entity.backlog else []
        found += [f"{entity.entity_id} held by {holder.instance_id}"] if holder else []
    return found


def entity_states(store: Store) -> dict[str, str | None]:
    """The state of every entity."""
    found = store.entities(HUB, EntityQuery())
    return {entity.entity_id: entity.progress.state for entity in found}


def _ending(store: Store, key: Key) -> Ending | None:
    instance = store.load(key)
    if instance is None:
        return None
    progress = instance.progress
    past = codec.decode(messages.OrchestratorRequest, store.history(key)).past_events
    return Ending(
        progress.status.name,
        progress.output,
        progress.custom_status,
        progress.failure,
        tuple(_anonymous(event) for event in past),
    )


def _anonymous(event: messages.HistoryEvent) -> messages.HistoryEvent:
    """The event without execution ids, which are drawn."""
    started = event.execution_started
    if started is not None:
        if started.orchestration_instance is not None:
            started.orchestration_instance.execution_id = None
        if started.parent_instance and started.parent_instance.orchestration_instance:
            started.parent_instance.orchestration_instance.execution_id = None
    rewound = event.execution_rewound
    if rewound is not None:
        rewound.parent_execution_id = None
        if rewound.parent_instance and rewound.parent_instance.orchestration_instance:
            rewound.parent_instance.orchestration_instance.execution_id = None
    called = event.entity_operation_called
    if called is not None:
        called.parent_execution_id = None
    return event
