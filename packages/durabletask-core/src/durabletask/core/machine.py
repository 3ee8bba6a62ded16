"""One execution of one orchestration: applies the events of its history, decides what comes next.

            execution_started            the code waits        the code ends
    EMPTY --------------------> RUNNING <---------------> RUNNING ---------> ENDED
                                  |  ^                        execution_terminated
              execution_suspended |  | execution_resumed
                                  v  |
                               SUSPENDED (events are held)

It can be kept between turns, and then takes only the events it has not seen. What it decides
does not depend on how the events were divided into turns, nor on whether the machine was kept
or built anew from history.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from durabletask.core import completions, confirmations
from durabletask.core.actions import CREATE_TIMER, SEND_EVENT
from durabletask.core.context import ReplayedContext
from durabletask.core.continue_as_new_delay import ContinueAsNewDelay
from durabletask.core.decision import Decision, LogEntry
from durabletask.core.outcome import (
    Completed,
    ContinuedAsNew,
    Failed,
    Outcome,
    Stalled,
    Terminated,
    describe,
    outcome_action,
    unserializable_result,
)
from durabletask.core.pending_actions import id_before_first
from durabletask.core.runner import OrchestratorRunner, Raised, Returned
from durabletask.core.suspension import Suspension
from durabletask.failures import (
    NonDeterminismError,
    OrchestratorVersionNotRegisteredError,
    UnsupportedByEngineError,
    details_from_exception,
)
from durabletask.protocol import events, messages
from durabletask.protocol.oneofs import which
from durabletask.serialization import type_discovery
from durabletask.serialization.checks import serialized

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from durabletask.core.failed_attempts import FailedAttempt
    from durabletask.core.registry import Registry
    from durabletask.core.runner import CallOutcome
    from durabletask.core.settings import Settings
    from durabletask.failures import FailureDetails


class OrchestrationMachine:
    """Give past events to `replay` and new ones to `turn`; close it when done."""

    def __init__(
        self, instance_id: str, execution_id: str, registry: Registry, settings: Settings
    ) -> None:
        self._instance_id = instance_id
        self._execution_id = execution_id
        self._registry = registry
        self._settings = settings
        self._context = context = ReplayedContext(instance_id, settings)
        self._runner = OrchestratorRunner()
        self._suspension = Suspension()
        self._delay = ContinueAsNewDelay(
            context.pending_actions,
            context.timers,
            context.clock,
            is_needed=settings.engine.continues_as_new_alone,
        )
        self._name: str | None = None
        self._outcome: Outcome | None = None
        self._outcome_id = 0
        self._is_mismatched = False
        self._app_id = ""
        self._log_entries: list[LogEntry] = []

    @property
    def instance_id(self) -> str:
        """Id of the orchestration instance."""
        return self._instance_id

    @property
    def execution_id(self) -> str:
        """Id of this execution; another one follows when it continues as new."""
        return self._execution_id

    @property
    def applied(self) -> int:
        """How many events of its history it has applied, past and new."""
        return self._context.lookahead.applied

    @property
    def expected(self) -> int:
        """How many events history holds once everything the last turn decided is recorded."""
        return self.applied + len(self._context.pending_actions)

    def confirm_all(self) -> None:
        """Apply, without seeing them, the events that record what the last turn decided.

        For engines that do not send them to a worker that kept the machine. Each action is
        recorded by one event, so their number is known.
        """
        self._context.lookahead.applied = self.expected
        self._context.pending_actions.discard_all()

    def replay(self, past_events: Iterable[messages.HistoryEvent]) -> None:
        """Apply events that history holds; those applied before must be left out."""
        if not past_events:
            return
        past = past_events if isinstance(past_events, Sequence) else list(past_events)
        self._context.replaying = True
        self._context.lookahead.load(past)
        self._apply(past)
        self._context.lookahead.load(())
        # Logged in the turns that history records.
        self._take_failed_attempts()

    def turn(self, new_events: Iterable[messages.HistoryEvent]) -> Decision:
        """Apply new events and decide. User errors decide FAILED, they do not raise."""
        self._context.replaying = False
        try:
            self._apply(new_events)
        finally:
            # Replay-safe loggers stay silent in `finally` blocks that run after the turn.
            self._context.replaying = True
        decision = self._decide()
        if decision.ended:
            self.close()
        return decision

    def close(self) -> None:
        """Run the `finally` blocks of code that still waits; the actions they ask for are ignored."""
        self._runner.close()

    def _apply(self, events: Iterable[messages.HistoryEvent]) -> None:
        lookahead = self._context.lookahead
        for event in events:
            lookahead.applied += 1
            self._handle(event)

    def _handle(self, event: messages.HistoryEvent) -> None:
        kind = which(event)
        if kind == "event_sent" and self._is_delivery(event):
            kind, event = "event_raised", _as_raised(event)
        if self._suspension.is_on and self._suspension.hold(kind, event):
            # The code sees it in the turn that resumes, which comes later in history.
            self._read_version(event)
            return
        if self._outcome is not None and not self._handles_after_end(kind, event):
            return
        handler = self._HANDLERS.get(kind)
        if handler is not None:
            handler(self, event, getattr(event, kind))
        elif kind in confirmations.EVENT_KINDS:
            self._confirm(kind, event)
        elif kind in completions.EVENT_KINDS:
            self._complete(kind, event)
        elif kind not in _IGNORED:
            self._log_new(
                logging.WARNING,
                f"ignored an event of kind '{kind or 'unknown'}', which this version of the SDK "
                "does not know. A newer version may be needed.",
            )

    def _handles_after_end(self, kind: str, event: messages.HistoryEvent) -> bool:
        return kind in _HANDLED_AFTER_END or self._delay.handles(kind, event)

    def _is_delivery(self, event: messages.HistoryEvent) -> bool:
        """Whether this is an event raised on this instance, delivered as its sender recorded it.

        durabletask-go delivers an `event_sent`. One that the instance sent to itself comes
        twice: the first confirms the action.
        """
        sent = event.event_sent
        assert sent is not None
        if sent.instance_id != self._instance_id or not self._settings.engine.unique_action_ids:
            return False
        pending = self._context.pending_actions
        return not pending.expects(event.event_id, SEND_EVENT, sent.name)

    def _on_orchestrator_started(
        self, event: messages.HistoryEvent, _started: messages.OrchestratorStartedEvent
    ) -> None:
        self._delay.count_turn()
        self._read_version(event)
        if event.timestamp is not None:
            self._context.clock.now = event.timestamp

    def _read_version(self, event: messages.HistoryEvent) -> None:
        """Read which version of the code took a turn, if the event begins a turn."""
        started = event.orchestrator_started
        if started is not None and started.version is not None:
            self._context.patches.add_recorded(started.version)

    def _on_execution_started(
        self, event: messages.HistoryEvent, started: messages.ExecutionStartedEvent
    ) -> None:
        if self._name is not None:
            self._log_new(logging.WARNING, "ignored a second start of the same execution")
            return
        self._name = started.name
        self._set_identity(event, started)
        try:
            call = self._call(started)
        except OrchestratorVersionNotRegisteredError as error:
            self._stall(error)
            return
        except BaseException as error:  # noqa: BLE001  # becomes the orchestration's failure
            self._fail(error)
            return
        self._handle_outcome(self._runner.start(call))
        self._advance()

    def _set_identity(
        self, event: messages.HistoryEvent, started: messages.ExecutionStartedEvent
    ) -> None:
        """Give the context what the start says: ids, parent, version, time."""
        context = self._context
        instance, parent = started.orchestration_instance, started.parent_instance
        if instance is not None and instance.execution_id:
            self._execution_id = instance.execution_id
        if parent is not None and parent.orchestration_instance is not None:
            context.parent = parent.orchestration_instance.instance_id
        context.version_label = started.version
        if event.router is not None:
            self._app_id = event.router.target_app_id or event.router.source_app_id
        if not context.clock.is_set and event.timestamp is not None:
            context.clock.now = event.timestamp
        unique_ids = self._settings.engine.unique_action_ids
        context.pending_actions.start_ids_after(
            id_before_first(self._execution_id, context.lookahead, unique_ids=unique_ids)
        )

    def _call(self, started: messages.ExecutionStartedEvent) -> Callable[[], Any]:
        function = self._function(started)
        if not type_discovery.takes_input(function):
            return partial(function, self._context)
        converter = self._settings.data_converter
        wanted = type_discovery.input_type(function, converter)
        return partial(function, self._context, converter.deserialize(started.input, wanted))

    def _function(self, started: messages.ExecutionStartedEvent) -> Callable[..., Any]:
        """The orchestrator, in the version that history names."""
        patches, name = self._context.patches, started.name
        wanted = patches.version_name or started.version
        if not (wanted or self._settings.engine.records_versions):
            self._require_version(name)
        function, patches.version_name = self._registry.version(name, wanted)
        return function

    def _require_version(self, name: str) -> None:
        """Fail rather than run the latest version: a replay might find another one the latest."""
        if self._registry.has_versions(name):
            raise UnsupportedByEngineError(
                self._settings.engine.name,
                f"Running orchestrator '{name}', which has named versions, without a version",
                "It does not record which version an instance began with. Schedule the instance "
                "with version=... and the name of a version.",
            )

    def _stall(self, error: OrchestratorVersionNotRegisteredError) -> None:
        """Leave the turn to another worker if the engine can arrange that, or fail."""
        if not self._settings.engine.records_versions:
            self._fail(error)
            return
        self._log(logging.WARNING, f"is left to a worker that has its version: {error}")
        # The code has not run, so history cannot be compared with it.
        self._is_mismatched = True
        self._end(Stalled())

    def _on_execution_suspended(
        self, _event: messages.HistoryEvent, _suspended: messages.ExecutionSuspendedEvent
    ) -> None:
        self._suspension.begin()

    def _on_execution_resumed(
        self, _event: messages.HistoryEvent, _resumed: messages.ExecutionResumedEvent
    ) -> None:
        for held in self._suspension.end():
            self._handle(held)

    def _on_execution_terminated(
        self, _event: messages.HistoryEvent, terminated: messages.ExecutionTerminatedEvent
    ) -> None:
        # Also after continue-as-new in the same turn: else an endless loop could not be stopped.
        if self._outcome is None or isinstance(self._outcome, (ContinuedAsNew, Stalled)):
            self._context.pending_actions.discard_on_failure()
            self._end(Terminated(terminated.input))

    def _confirm(self, kind: str, event: messages.HistoryEvent) -> None:
        if self._is_mismatched:
            return
        try:
            confirmations.confirm(self._context, kind, event)
        except NonDeterminismError as mismatch:
            self._fail_replay(mismatch)

    def _fail_replay(self, mismatch: NonDeterminismError) -> None:
        """Fail, because the code asked for something else than history records."""
        # Even if the code has ended: that it ended here is the mismatch.
        self._is_mismatched = True
        self._context.pending_actions.discard_on_failure()
        outcome = self._outcome
        self._fail(
            NonDeterminismError(mismatch.expected, mismatch.actual, describe(outcome)),
            # Code that failed during replay may have failed because it changed: report both.
            inner=outcome.details if isinstance(outcome, Failed) else None,
        )

    def _complete(self, kind: str, event: messages.HistoryEvent) -> None:
        if completions.complete(self._context, kind, event):
            self._advance()
        else:
            self._log_new(
                logging.DEBUG,
                f"ignored an answer to {completions.answered(kind, event)}: no task waits for it",
            )

    def _on_event_raised(
        self, event: messages.HistoryEvent, raised: messages.EventRaisedEvent
    ) -> None:
        if self._outcome is not None:
            self._context.events.buffer(event, raised)
            self._delay.keep_late(event)
        else:
            self._context.events.deliver(event, raised)
            self._advance()

    def _advance(self) -> None:
        while self._outcome is None and self._runner.can_resume:
            self._handle_outcome(self._runner.resume())

    def _handle_outcome(self, outcome: CallOutcome | None) -> None:
        continued = self._context.continued_as_new
        if continued is not None:
            if isinstance(outcome, Raised):
                raised = details_from_exception(outcome.exception)
                self._log_new(
                    logging.WARNING,
                    f"raised {raised.error_type} after continue_as_new ({raised.message}) and "
                    "continues as new all the same",
                )
            # A timer of this execution would fire in the next one.
            self._context.pending_actions.discard_all(CREATE_TIMER)
            self._end(continued)
        elif isinstance(outcome, Returned):
            self._return(outcome.value)
        elif isinstance(outcome, Raised):
            self._fail(outcome.exception)

    def _return(self, value: Any) -> None:
        try:
            result = serialized(value, self._settings.data_converter)
        except BaseException as problem:  # noqa: BLE001  # becomes the orchestration's failure
            self._fail(unserializable_result(value, problem))
        else:
            self._end(Completed(result))

    def _fail(self, error: BaseException, *, inner: FailureDetails | None = None) -> None:
        details = details_from_exception(
            error, properties_provider=self._settings.exception_properties_provider
        )
        if inner is not None:
            details = replace(details, inner_failure=inner)
        # Also during replay: an execution that had failed before would not be replayed.
        self._log(
            logging.WARNING, f"failed with {details.error_type}: {details.message}", error=error
        )
        self._end(Failed(details))

    def _end(self, outcome: Outcome) -> None:
        self._outcome = outcome
        # However it ends: nobody else would ever unlock them.
        self._context.sections.leave()
        if not self._outcome_id:
            self._outcome_id = self._context.pending_actions.next_id()
        self._delay.end()
        if isinstance(outcome, ContinuedAsNew):
            self._delay.begin()

    def _decide(self) -> Decision:
        try:
            decided = self._actions()
        except BaseException as error:  # noqa: BLE001  # becomes the orchestration's failure
            # A payload cannot be serialized, or the details of a failure cannot.
            self._context.pending_actions.discard_on_failure()
            self._fail(error)
            decided = self._actions()
        for failed in self._take_failed_attempts():
            self._log(failed.level, failed.predicate, failed.fields)
        log_entries, self._log_entries = self._log_entries, []
        return Decision(
            actions=tuple(decided),
            custom_status=self._context.custom_status,
            ended=self._outcome is not None and not self._delay.is_on,
            log_entries=tuple(log_entries),
            version_name=self._context.patches.version_name,
            patches=self._context.patches.taken,
        )

    def _actions(self) -> list[messages.OrchestratorAction]:
        context, outcome = self._context, self._outcome
        decided = [action.message() for action in context.pending_actions.outstanding()]
        if outcome is not None and not self._delay.is_on:
            decided.append(outcome_action(self._outcome_id, outcome, self._carried(outcome)))
        if self._app_id and self._settings.engine.records_versions:
            self._set_router(decided)
        return decided

    def _carried(self, outcome: Outcome) -> list[messages.HistoryEvent]:
        """The events that no task has received and the next execution is to have."""
        keeps_all = isinstance(outcome, ContinuedAsNew) and outcome.save_events
        return self._context.events.buffered() if keeps_all else self._delay.late_events

    def _set_router(self, decided: list[messages.OrchestratorAction]) -> None:
        """Name the app that the actions come from: older Dapr sidecars need to be told."""
        for action in decided:
            action.router = messages.TaskRouter(source_app_id=self._app_id)

    def _log_new(self, level: int, predicate: str) -> None:
        """Log a sentence about this orchestration, but not again during replay."""
        if not self._context.replaying:
            self._log(level, predicate)

    def _take_failed_attempts(self) -> list[FailedAttempt]:
        """The failed attempts since this was last called, of activities first."""
        taken: list[FailedAttempt] = []
        for calls in (self._context.activities, self._context.children):
            taken += calls.failed_attempts
            calls.failed_attempts.clear()
        return taken

    def _log(
        self,
        level: int,
        predicate: str,
        fields: Mapping[str, object] | None = None,
        *,
        error: BaseException | None = None,
    ) -> None:
        name = f" ({self._name})" if self._name else ""
        text = f"Orchestration '{self._instance_id}'{name} {predicate}"
        self._log_entries.append(
            LogEntry(level, text, self._instance_id, self._name, fields, error)
        )

    _HANDLERS: ClassVar[
        dict[str, Callable[[OrchestrationMachine, messages.HistoryEvent, Any], None]]
    ] = {
        "orchestrator_started": _on_orchestrator_started,
        "execution_started": _on_execution_started,
        "execution_suspended": _on_execution_suspended,
        "execution_resumed": _on_execution_resumed,
        "execution_terminated": _on_execution_terminated,
        "event_raised": _on_event_raised,
    }


def _as_raised(event: messages.HistoryEvent) -> messages.HistoryEvent:
    sent = event.event_sent
    assert sent is not None
    return events.event_raised(sent.name, sent.input, at=event.timestamp)


# For readers of history: an orchestrator does nothing about them.
_IGNORED = frozenset({
    "orchestrator_completed",
    "execution_completed",
    "execution_rewound",
    "execution_stalled",
    "detached_orchestration_instance_created",
    "generic_event",
    "continue_as_new",
    "history_state",
})  # fmt: skip

# The code has ended, but history may still contradict it, and events may be carried over.
_HANDLED_AFTER_END = confirmations.EVENT_KINDS | {"event_raised", "execution_terminated"}
