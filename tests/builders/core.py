"""A fake engine in memory: turns decisions into events, so that a test runs orchestrations.

By default each turn is decided twice, by a machine that is kept and by one built anew from
history, and both must decide the same. User code then runs twice as often: a test that counts its
calls chooses one of the two.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from durabletask.core.activity import Raised, Returned, finish, prepare
from durabletask.core.orchestration import decide, open_machine
from durabletask.core.registry import Registry
from durabletask.core.settings import Settings
from durabletask.failures import FailureDetails, from_message, to_message
from durabletask.protocol import events, messages
from durabletask.protocol.oneofs import which

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from durabletask.core.decision import Decision
    from durabletask.core.machine import OrchestrationMachine

START = datetime(2026, 1, 1, tzinfo=UTC)
ID = "an-instance"

Sessions = Literal["both", "warm", "cold"]
Event = messages.HistoryEvent


def beginning(name: str, input: str | None = None, *, at: datetime = START) -> list[Event]:
    """The events of a first turn."""
    return [
        events.orchestrator_started(at),
        events.execution_started(name, input, instance_id=ID, at=at),
    ]


def machine_for(
    *functions: Callable[..., Any], settings: Settings | None = None
) -> OrchestrationMachine:
    """A machine that knows these orchestrators and has taken no event."""
    request = messages.OrchestratorRequest(instance_id=ID)
    return open_machine(request, registry_of(*functions), settings or Settings())


def registry_of(*orchestrators: Callable[..., Any]) -> Registry:
    registry = Registry()
    for orchestrator in orchestrators:
        registry.add_orchestrator(orchestrator)
    return registry


def kinds(decision: Decision) -> list[str]:
    """What the decision asks for, by kind."""
    return [which(action) for action in decision.actions]


def failure(error_type: str = "builtins.ValueError", message: str = "broken") -> Any:
    return to_message(FailureDetails(message, error_type, None))


@dataclass(slots=True)
class Instance:
    """What the hub knows of one instance."""

    id: str
    name: str
    history: list[Event] = field(default_factory=list)
    inbox: list[Event] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    machine: OrchestrationMachine | None = None
    generation: int = 0
    status: str = "PENDING"
    output: str | None = None
    failure: FailureDetails | None = None
    custom_status: str | None = None
    parent: messages.ParentInstanceInfo | None = None
    inputs: list[str | None] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        return self.status in {"COMPLETED", "FAILED", "TERMINATED"}

    def asked(self) -> list[tuple[int, str]]:
        """Everything it has asked for, with its number as its execution counts."""
        asked = (it for decision in self.decisions for it in decision.actions)
        return [(it.id % 1000 if it.id > 0 else it.id, which(it)) for it in asked]


class FakeEngine:
    """Runs the functions it is given, on a clock that only moves when told."""

    def __init__(
        self,
        *orchestrators: Callable[..., Any],
        activities: Iterable[Callable[..., Any]] = (),
        settings: Settings | None = None,
        sessions: Sessions = "both",
        batch: int | None = None,
    ) -> None:
        self.registry = registry_of(*orchestrators)
        for activity in activities:
            self.registry.add_activity(activity)
        self.settings = settings or Settings()
        self.now = START
        self.instances: dict[str, Instance] = {}
        self._sessions = sessions
        self._batch = batch
        self._tasks: list[Callable[[], None]] = []
        self._timers: list[tuple[datetime, Callable[[], None]]] = []

    def start(self, orchestrator: Callable[..., Any] | str, input: Any = None, id: str = ID) -> str:
        name = orchestrator if isinstance(orchestrator, str) else orchestrator.__name__
        self._start(id, name, self.settings.data_converter.serialize(input))
        return id

    def run(self, orchestrator: Callable[..., Any] | str, input: Any = None) -> Instance:
        """Start it and let everything happen that happens without time passing."""
        id = self.start(orchestrator, input)
        self.settle()
        return self.instances[id]

    def raise_event(self, name: str, data: Any = None, id: str = ID) -> None:
        self._deliver(id, events.event_raised(name, self.settings.data_converter.serialize(data)))

    def send(self, *new: Event, id: str = ID) -> None:
        """Put events into the inbox as they are."""
        self.instances[id].inbox.extend(new)

    def settle(self) -> None:
        """Take turns and run activities until nothing is left to do now."""
        while True:
            ready = [it for it in self.instances.values() if it.inbox and not it.is_over]
            if ready:
                self.turn(ready[0])
            elif self._tasks:
                self._tasks.pop(0)()
            else:
                return

    def advance(self, span: timedelta) -> None:
        """Let time pass, firing each timer at its time."""
        until = self.now + span
        while due := sorted(
            (timer for timer in self._timers if timer[0] <= until), key=lambda timer: timer[0]
        ):
            timer = due[0]
            self._timers.remove(timer)
            self.now = max(self.now, timer[0])
            timer[1]()
            self.settle()
        self.now = until

    def turn(self, instance: Instance) -> Decision:
        """Decide one turn of one instance and commit what was decided."""
        size = self._batch or len(instance.inbox)
        batch, instance.inbox = instance.inbox[:size], instance.inbox[size:]
        new = [events.orchestrator_started(self.now), *batch]
        decision = self._decide(instance, new)
        instance.decisions.append(decision)
        instance.history.extend(new)
        instance.custom_status = decision.custom_status
        instance.status = "RUNNING"
        if decision.ended:
            instance.machine = None
        for action in decision.actions:
            getattr(self, f"_apply_{which(action)}")(instance, action)
        return decision

    def _decide(self, instance: Instance, new: list[Event]) -> Decision:
        request = messages.OrchestratorRequest(
            instance_id=instance.id, past_events=list(instance.history), new_events=new
        )
        if self._sessions == "cold":
            return decide(request, self.registry, self.settings)
        machine = instance.machine or open_machine(request, self.registry, self.settings)
        instance.machine = machine
        machine.replay(request.past_events[machine.applied :])
        warm = machine.turn(new)
        if self._sessions == "both":
            cold = decide(request, self.registry, self.settings)
            assert without_traces(cold) == without_traces(warm)
        return warm

    def _start(
        self,
        id: str,
        name: str,
        input: str | None,
        parent: messages.ParentInstanceInfo | None = None,
    ) -> None:
        instance = Instance(id, name, parent=parent)
        self.instances[id] = instance
        self._begin(instance, input)

    def _begin(self, instance: Instance, input: str | None, version: str | None = None) -> None:
        instance.inputs.append(input)
        instance.inbox.append(
            events.execution_started(
                instance.name,
                input,
                instance_id=instance.id,
                execution_id=f"execution-{instance.generation}",
                version=version,
                parent=instance.parent,
                at=self.now,
            )
        )

    def _deliver(self, id: str, event: Event, generation: int | None = None) -> None:
        """Lost if the instance is gone, has ended or has begun anew."""
        instance = self.instances.get(id)
        if instance is None or instance.is_over:
            return
        if generation is None or generation == instance.generation:
            instance.inbox.append(event)

    def _apply_schedule_task(self, instance: Instance, action: messages.OrchestratorAction) -> None:
        call = action.schedule_task
        assert call is not None
        instance.history.append(events.task_scheduled(action.id, call.name, call.input))
        request = messages.ActivityRequest(
            name=call.name,
            input=call.input,
            orchestration_instance=messages.OrchestrationInstance(instance_id=instance.id),
            task_id=action.id,
        )
        self._tasks.append(partial(self._run_activity, request, instance.generation))

    def _run_activity(self, request: messages.ActivityRequest, generation: int) -> None:
        call = prepare(request, self.registry, self.settings)
        outcome: Returned | Raised
        try:
            result = call.call()
            outcome = Returned(run_coroutine(result) if call.is_async else result)
        except BaseException as error:
            outcome = Raised(error)
        response = finish(request, outcome, self.settings, completion_token="")
        if response.failure_details is not None:
            answer = events.task_failed(response.task_id, response.failure_details)
        else:
            answer = events.task_completed(response.task_id, response.result)
        self._deliver(response.instance_id, answer, generation)

    def _apply_create_timer(self, instance: Instance, action: messages.OrchestratorAction) -> None:
        assert action.create_timer is not None
        fire_at = action.create_timer.fire_at
        assert fire_at is not None
        instance.history.append(events.timer_created(action.id, fire_at))
        fired = events.timer_fired(action.id, fire_at)
        deliver = partial(self._deliver, instance.id, fired, instance.generation)
        self._timers.append((fire_at, deliver))

    def _apply_create_sub_orchestration(
        self, instance: Instance, action: messages.OrchestratorAction
    ) -> None:
        child = action.create_sub_orchestration
        assert child is not None
        instance.history.append(
            events.sub_orchestration_instance_created(
                action.id, child.name, child.input, instance_id=child.instance_id
            )
        )
        parent = messages.ParentInstanceInfo(
            task_scheduled_id=action.id,
            orchestration_instance=messages.OrchestrationInstance(
                instance_id=instance.id, execution_id=str(instance.generation)
            ),
        )
        self._start(child.instance_id, child.name, child.input, parent)

    def _apply_send_event(self, instance: Instance, action: messages.OrchestratorAction) -> None:
        sent = action.send_event
        assert sent is not None
        assert sent.instance is not None
        target = sent.instance.instance_id
        instance.history.append(events.event_sent(action.id, target, sent.name, sent.data))
        self._deliver(target, events.event_raised(sent.name, sent.data))

    def _apply_complete_orchestration(
        self, instance: Instance, action: messages.OrchestratorAction
    ) -> None:
        complete = action.complete_orchestration
        assert complete is not None
        if complete.orchestration_status is messages.OrchestrationStatus.CONTINUED_AS_NEW:
            instance.generation += 1
            instance.history = []
            left = [event for event in instance.inbox if which(event) == "event_raised"]
            instance.inbox = []
            self._begin(instance, complete.result, complete.new_version)
            instance.inbox += [*complete.carryover_events, *left]
            return
        instance.status = str(complete.orchestration_status.name)
        instance.output = complete.result
        if complete.failure_details is not None:
            instance.failure = from_message(complete.failure_details)
        if instance.parent is not None:
            self._tell_parent(instance.parent, instance, complete.failure_details)

    def _tell_parent(
        self,
        parent: messages.ParentInstanceInfo,
        child: Instance,
        failure_details: messages.TaskFailureDetails | None,
    ) -> None:
        number = parent.task_scheduled_id
        if child.status == "COMPLETED":
            answer = events.sub_orchestration_instance_completed(number, child.output)
        else:
            details = failure_details or failure("OrchestrationTerminated", "it was terminated")
            answer = events.sub_orchestration_instance_failed(number, details)
        instance = parent.orchestration_instance
        assert instance is not None
        self._deliver(instance.instance_id, answer, int(instance.execution_id or 0))


def run_coroutine(coroutine: Any) -> Any:
    """Run a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("the coroutine waits for something")


def without_traces(decision: Decision) -> list[Any]:
    """What a decision says, without stack traces, which differ in what called the code."""
    said: list[Any] = [decision.custom_status, decision.ended]
    for action in decision.actions:
        complete = action.complete_orchestration
        if complete is None or complete.failure_details is None:
            said.append(action)
        else:
            details = complete.failure_details
            said.append((action.id, details.error_type, details.error_message))
    return said
