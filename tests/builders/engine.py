"""Engine and store without a network: a test drives time, ids and the worker.

Everything goes through the committer, as in the sidecar; only leases are missing.
"""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from durabletask.protocol import codec, messages, oneofs
from durabletask.sidecar.commit.committer import Committer, Submission
from durabletask.sidecar.engine.commands import CompleteActivity, CompleteTurn, StartInstance
from durabletask.sidecar.engine.limits import Limits
from durabletask.sidecar.store import Key
from durabletask.sidecar.store.memory import MemoryStore
from durabletask.sidecar.work.items import WorkItemSource

if TYPE_CHECKING:
    from durabletask.sidecar.commit.committer import Commit
    from durabletask.sidecar.commit.notifications import Work
    from durabletask.sidecar.engine.commands import Command
    from durabletask.sidecar.engine.state import Instance
    from durabletask.sidecar.engine.transition import Reply
    from durabletask.sidecar.store import Store
    from durabletask.sidecar.work.items import PreparedTurn

HUB = "default"
EPOCH = datetime(2026, 3, 1, 12, tzinfo=UTC)
ROOMY = 1 << 40

Status = messages.OrchestrationStatus


class Turn(NamedTuple):
    """A turn as a worker sees it, and what the sidecar keeps of it."""

    request: Any
    prepared: PreparedTurn

    @property
    def new(self) -> list[Any]:
        """The new events but for OrchestratorStarted, with which every turn begins."""
        return list(self.request.new_events[1:])

    @property
    def new_kinds(self) -> list[str]:
        return kinds(self.request.new_events)


class EngineDriver:
    """One task hub over a store."""

    def __init__(
        self, store: Store | None = None, *, now: datetime = EPOCH, **limits: int | None
    ) -> None:
        self.store: Store = MemoryStore() if store is None else store
        self.committer = Committer(self.store, Limits(**limits))
        self.now = now
        self.tasks: list[Work] = []
        """The activities that the sidecar would have handed out, oldest first."""
        self._ids = (f"{number:032x}" for number in itertools.count(1))

    @property
    def items(self) -> WorkItemSource:
        return WorkItemSource(self.committer)

    def pass_time(self, by: timedelta = timedelta(milliseconds=1)) -> None:
        self.now += by

    def commit(self, *submissions: tuple[str, Command]) -> Commit:
        """Several commands in one commit."""
        self.pass_time()
        commit = self.committer.commit(
            [Submission(HUB, instance_id, command) for instance_id, command in submissions],
            now=self.now,
            new_id=lambda: next(self._ids),
        )
        self.tasks += commit.notifications.tasks
        return commit

    def do(self, command: Command, to: str = "a") -> Reply:
        """One command; the reply to it."""
        return self.commit((to, command)).replies[0]

    def start(self, instance_id: str = "a", name: str = "order", **fields: Any) -> Reply:
        return self.do(StartInstance(name, **fields), instance_id)

    def state(self, instance_id: str = "a") -> Instance:
        instance = self.committer.instance(HUB, instance_id)
        assert instance is not None, f"there is no instance '{instance_id}'"
        return instance

    def status(self, instance_id: str = "a") -> messages.OrchestrationStatus:
        return self.state(instance_id).progress.status

    def turn(self, instance_id: str = "a") -> Turn | None:
        """What a worker would be given now; None when there is nothing to do."""
        prepared = self.items.prepare_turn(HUB, instance_id, token="turn", now=self.now, room=ROOMY)
        if prepared is None:
            return None
        item = codec.decode(messages.WorkItem, prepared.work_item)
        assert item.completion_token == "turn"
        return Turn(item.orchestrator_request, prepared)

    def taken(self, instance_id: str = "a") -> Turn:
        """The same, where there must be something to do."""
        turn = self.turn(instance_id)
        assert turn is not None, f"'{instance_id}' has nothing to do"
        return turn

    def answer(self, turn: Turn, *actions: Any, to: str = "a", **fields: Any) -> Reply:
        return self.do(CompleteTurn(turn.prepared.turn, actions, **fields), to)

    def decide(self, *actions: Any, to: str = "a", **fields: Any) -> Turn:
        """Take the turn that is due and answer it with these actions."""
        turn = self.taken(to)
        self.answer(turn, *actions, to=to, **fields)
        return turn

    def finish(self, task: Work, result: str | None = None, failure: Any = None) -> Reply:
        """Complete an activity."""
        return self.do(CompleteActivity(task.task_key, result, failure), task.instance_id)

    def finish_next(self, result: str | None = None) -> Reply:
        """Complete the oldest activity that was handed out and is not completed."""
        return self.finish(self.tasks.pop(0), result)

    def history(self, instance_id: str = "a") -> list[Any]:
        """The decoded history of the current execution."""
        return events_in(self.store.history(Key(HUB, instance_id)))

    def history_kinds(self, instance_id: str = "a") -> list[str]:
        return kinds(self.history(instance_id))


def events_in(spliced: bytes) -> list[Any]:
    """Events as a store holds them: elements of OrchestratorRequest.past_events."""
    return codec.decode(messages.OrchestratorRequest, spliced).past_events


def kinds(events: list[Any]) -> list[str]:
    return [oneofs.which(event) for event in events]


def schedule(id: int, name: str = "greet", input: str | None = None, **fields: Any) -> Any:
    task = messages.ScheduleTaskAction(name=name, input=input, **fields)
    return messages.OrchestratorAction(id=id, schedule_task=task)


def timer(id: int, fire_at: datetime) -> Any:
    create = messages.CreateTimerAction(fire_at=fire_at)
    return messages.OrchestratorAction(id=id, create_timer=create)


def child(id: int, instance_id: str = "", name: str = "ship", **fields: Any) -> Any:
    create = messages.CreateSubOrchestrationAction(instance_id=instance_id, name=name, **fields)
    return messages.OrchestratorAction(id=id, create_sub_orchestration=create)


def send(id: int, to: str, name: str, data: str | None = None) -> Any:
    target = messages.OrchestrationInstance(instance_id=to)
    event = messages.SendEventAction(instance=target, name=name, data=data)
    return messages.OrchestratorAction(id=id, send_event=event)


def kill(id: int, target: str, *, reason: str | None = None, recurse: bool = False) -> Any:
    terminate = messages.TerminateOrchestrationAction(
        instance_id=target, reason=reason, recurse=recurse
    )
    return messages.OrchestratorAction(id=id, terminate_orchestration=terminate)


def end(id: int = 99, result: str | None = None, *, status: Any = None, **fields: Any) -> Any:
    completion = messages.CompleteOrchestrationAction(
        orchestration_status=Status.COMPLETED if status is None else status,
        result=result,
        **fields,
    )
    return messages.OrchestratorAction(id=id, complete_orchestration=completion)


def fail(id: int = 99, text: str = "no", **fields: Any) -> Any:
    return end(id, status=Status.FAILED, failure_details=failure(text, **fields))


def again(input: str | None = None, *, carry: tuple[Any, ...] = (), **fields: Any) -> Any:
    """Continue as new."""
    return end(99, input, status=Status.CONTINUED_AS_NEW, carryover_events=list(carry), **fields)


def failure(text: str = "no", **fields: Any) -> Any:
    fields.setdefault("error_type", "ValueError")
    return messages.TaskFailureDetails(error_message=text, **fields)
