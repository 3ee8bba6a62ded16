"""One execution of one orchestration: takes history's events, decides what to do next.

            execution_started            the code waits        the code ends
    EMPTY --------------------> RUNNING <---------------> RUNNING ---------> ENDED
                                  |  ^                        execution_terminated
              execution_suspended |  | execution_resumed
                                  v  |
                               SUSPENDED (events are held)

Lives on between turns: a warm turn takes only the events it has not seen. What it decides
does not depend on how the events were cut into turns, nor on whether it lived on or was
built anew from history.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from durabletask.core import actions, answers, records
from durabletask.core.context import ReplayedContext
from durabletask.core.decision import Decision, Note
from durabletask.core.driver import Driver
from durabletask.core.ending import (
    Completed,
    ContinuedAsNew,
    Ending,
    Failed,
    Stalled,
    Terminated,
    ending_action,
    how,
    unwritten,
)
from durabletask.core.numbering import base_of
from durabletask.core.outcome import Raised, Returned
from durabletask.core.pause import Pause
from durabletask.core.payloads import serialized
from durabletask.core.suspension import Suspension
from durabletask.failures import (
    NonDeterminismError,
    OrchestratorVersionNotRegisteredError,
    UnsupportedByEngineError,
    details_from_exception,
)
from durabletask.protocol import events
from durabletask.protocol.oneofs import which
from durabletask.serialization import discovery

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from durabletask.core.answers import Answered
    from durabletask.core.outcome import Outcome
    from durabletask.core.registry import Registry
    from durabletask.core.settings import Settings
    from durabletask.failures import FailureDetails
    from durabletask.protocol import messages


class OrchestrationMachine:
    """Feed it `replay` with history and `turn` with what is new; close it when done."""

    def __init__(
        self, instance_id: str, execution_id: str, registry: Registry, settings: Settings
    ) -> None:
        self._instance_id = instance_id
        self._execution_id = execution_id
        self._registry = registry
        self._settings = settings
        self._context = context = ReplayedContext(instance_id, settings)
        self._driver = Driver()
        self._suspension = Suspension()
        alone = settings.engine.continues_alone
        self._pause = Pause(context.ledger, context.timers, context.clock, is_needed=alone)
        self._name: str | None = None
        self._ending: Ending | None = None
        self._ending_number = 0
        self._is_mismatched = False
        self._app_id = ""
        self._notes: list[Note] = []

    @property
    def instance_id(self) -> str:
        """Id of the orchestration instance."""
        return self._instance_id

    @property
    def execution_id(self) -> str:
        """Id of this execution of it; another follows when it continues as new."""
        return self._execution_id

    @property
    def applied(self) -> int:
        """How many events of its history it has taken, past and new."""
        return self._context.foresight.taken

    @property
    def expected(self) -> int:
        """How many events history holds once all is recorded that the last turn decided."""
        return self.applied + len(self._context.ledger.outstanding())

    def confirm_all(self) -> None:
        """Take the events by which history records what the last turn decided, unseen.

        For engines that do not send them to a worker that kept the machine. Each action is
        recorded by one event, so that their number says enough.
        """
        self._context.foresight.taken = self.expected
        self._context.ledger.withdraw_all()

    def replay(self, past_events: Iterable[messages.HistoryEvent]) -> None:
        """Take events that history holds; those taken before must be left out."""
        past = past_events if isinstance(past_events, Sequence) else list(past_events)
        self._context.replaying = True
        self._context.foresight.begin(past)
        self._absorb(past)
        self._context.foresight.begin(())

    def turn(self, new_events: Iterable[messages.HistoryEvent]) -> Decision:
        """Take new events and decide. User errors decide FAILED, they do not raise."""
        self._context.replaying = False
        try:
            self._absorb(new_events)
        finally:
            # Nothing after the turn is news: `finally` blocks that run later log nothing.
            self._context.replaying = True
        decision = self._decide()
        if decision.ended:
            self.close()
        return decision

    def close(self) -> None:
        """Run the `finally` blocks of code that still waits; what they ask for is ignored."""
        self._driver.close()

    def _absorb(self, events: Iterable[messages.HistoryEvent]) -> None:
        foresight = self._context.foresight
        for event in events:
            foresight.taken += 1
            self._handle(event)

    def _handle(self, event: messages.HistoryEvent) -> None:
        kind = which(event)
        if kind == "event_sent" and self._is_delivery(event):
            kind, event = "event_raised", _as_raised(event)
        if self._suspension.is_on and self._suspension.hold(kind, event):
            # What is held is done in the turn that resumes, which comes after it in history.
            self._learn(event)
            return
        if self._ending is not None and not self._hears_after_the_end(kind, event):
            return
        handler = self._HANDLERS.get(kind)
        if handler is not None:
            handler(self, event, getattr(event, kind))
        elif kind in records.KINDS:
            self._confirm(kind, event)
        elif kind in answers.KINDS:
            self._go_on(answers.hand_over(self._context, kind, getattr(event, kind)))
        elif kind not in _IGNORED:
            self._note(
                logging.WARNING,
                f"left out an event of kind '{kind or 'unknown'}', which this version of the SDK "
                "does not know: a newer one may be needed",
            )

    def _hears_after_the_end(self, kind: str, event: messages.HistoryEvent) -> bool:
        return kind in _HEARD_AFTER_THE_END or self._pause.hears(kind, event)

    def _is_delivery(self, event: messages.HistoryEvent) -> bool:
        """Whether the event is one that another instance sent, or this one sent itself.

        durabletask-go delivers the sender's own record of it. Sent to oneself it comes twice:
        the record first, which confirms what was asked for.
        """
        sent = event.event_sent
        assert sent is not None
        if sent.instance_id != self._instance_id or not self._settings.engine.unique_numbers:
            return False
        return not self._context.ledger.awaits(event.event_id, actions.SEND_EVENT, sent.name)

    def _on_orchestrator_started(
        self, event: messages.HistoryEvent, _started: messages.OrchestratorStartedEvent
    ) -> None:
        self._pause.next_turn()
        self._learn(event)
        if event.timestamp is not None:
            self._context.clock.now = event.timestamp

    def _learn(self, event: messages.HistoryEvent) -> None:
        """Take what history records of the code that took a turn, if the event begins one."""
        started = event.orchestrator_started
        if started is not None and started.version is not None:
            self._context.patches.learn(started.version)

    def _on_execution_started(
        self, event: messages.HistoryEvent, started: messages.ExecutionStartedEvent
    ) -> None:
        if self._name is not None:
            self._note(logging.WARNING, "left out a second start of the same execution")
            return
        self._name = started.name
        self._introduce(event, started)
        try:
            call = self._call(started)
        except OrchestratorVersionNotRegisteredError as error:
            self._lack(error)
            return
        except BaseException as error:  # noqa: BLE001  # becomes the orchestration's failure
            self._fail(error)
            return
        self._follow(self._driver.start(call))
        self._advance()

    def _introduce(
        self, event: messages.HistoryEvent, started: messages.ExecutionStartedEvent
    ) -> None:
        """Tell the context who it is."""
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
        unique = self._settings.engine.unique_numbers
        base = base_of(self._execution_id, context.foresight, unique=unique)
        context.ledger.begin_after(base)

    def _call(self, started: messages.ExecutionStartedEvent) -> Callable[[], Any]:
        function = self._function(started)
        if not discovery.takes_input(function):
            return partial(function, self._context)
        converter = self._settings.data_converter
        wanted = discovery.input_type(function, converter)
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
        """Refuse to guess: the next replay might guess another."""
        if self._registry.has_versions(name):
            raise UnsupportedByEngineError(
                self._settings.engine.name,
                f"Running orchestrator '{name}', which has named versions, without a version",
                "It does not record which version an instance began with: schedule the instance "
                "with version=... and the name of one.",
            )

    def _lack(self, error: OrchestratorVersionNotRegisteredError) -> None:
        """Let another worker take the turn if the engine can arrange that, or fail."""
        if not self._settings.engine.records_versions:
            self._fail(error)
            return
        self._tell(logging.WARNING, f"is left to a worker that has its version: {error}")
        # Nothing was asked for that history could confirm.
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
        # Also over continue-as-new in the same turn: else there would be no stopping a loop.
        if self._ending is None or isinstance(self._ending, (ContinuedAsNew, Stalled)):
            self._context.ledger.abandon()
            self._end(Terminated(terminated.input))

    def _confirm(self, kind: str, event: messages.HistoryEvent) -> None:
        if self._is_mismatched:
            return
        try:
            records.confirm(self._context, kind, event)
        except NonDeterminismError as mismatch:
            self._contradict(mismatch)

    def _contradict(self, mismatch: NonDeterminismError) -> None:
        """Fail, for the code asked for something else than history records."""
        # Even if the code has ended: that it ended here is the mismatch.
        self._is_mismatched = True
        self._context.ledger.abandon()
        ending = self._ending
        self._fail(
            NonDeterminismError(mismatch.expected, mismatch.actual, how(ending)),
            # Changed code that fails is contradicted by history, too: both have to be told.
            inner=ending.details if isinstance(ending, Failed) else None,
        )

    def _go_on(self, answered: Answered) -> None:
        if answered.is_awaited:
            self._advance()
        else:
            self._note(
                logging.DEBUG,
                f"left out an answer of {answered.what} #{answered.number}: nobody waits for it",
            )

    def _on_event_raised(
        self, event: messages.HistoryEvent, raised: messages.EventRaisedEvent
    ) -> None:
        if self._ending is not None:
            self._context.events.keep(event, raised)
            self._pause.arrived(event)
        else:
            self._context.events.arrive(event, raised)
            self._advance()

    def _advance(self) -> None:
        while self._ending is None and self._driver.is_ready:
            self._follow(self._driver.step())

    def _follow(self, outcome: Outcome | None) -> None:
        restart = self._context.restart
        if restart is not None:
            if isinstance(outcome, Raised):
                raised = details_from_exception(outcome.exception)
                self._note(
                    logging.WARNING,
                    f"the code raised {raised.error_type} after continue_as_new "
                    f"({raised.message}); it continues as new all the same",
                )
            # A timer of this execution would fire into the next.
            self._context.ledger.withdraw_all(actions.CREATE_TIMER)
            self._end(restart)
        elif isinstance(outcome, Returned):
            self._complete(outcome.value)
        elif isinstance(outcome, Raised):
            self._fail(outcome.exception)

    def _complete(self, value: Any) -> None:
        try:
            result = serialized(value, self._settings.data_converter)
        except BaseException as problem:  # noqa: BLE001  # becomes the orchestration's failure
            self._fail(unwritten(value, problem))
        else:
            self._end(Completed(result))

    def _fail(self, error: BaseException, *, inner: FailureDetails | None = None) -> None:
        details = details_from_exception(
            error, properties_provider=self._settings.exception_properties_provider
        )
        if inner is not None:
            details = replace(details, inner_failure=inner)
        # News even during replay: of an execution that had failed before there is no turn.
        self._tell(logging.WARNING, f"failed with {details.error_type}: {details.message}")
        self._end(Failed(details))

    def _end(self, ending: Ending) -> None:
        self._ending = ending
        # However it ends: nobody else would ever give them free.
        self._context.sections.leave()
        if not self._ending_number:
            self._ending_number = self._context.ledger.next_number()
        self._pause.end()
        if isinstance(ending, ContinuedAsNew):
            self._pause.begin()

    def _decide(self) -> Decision:
        try:
            decided = self._actions()
        except BaseException as error:  # noqa: BLE001  # becomes the orchestration's failure
            # A payload that was put off cannot be written, or a failure that users made up.
            self._context.ledger.abandon()
            self._fail(error)
            decided = self._actions()
        notes, self._notes = self._notes, []
        return Decision(
            actions=tuple(decided),
            custom_status=self._context.custom_status,
            ended=self._ending is not None and not self._pause.is_on,
            notes=tuple(notes),
            version_name=self._context.patches.version_name,
            patches=self._context.patches.taken,
        )

    def _actions(self) -> list[messages.OrchestratorAction]:
        context, ending = self._context, self._ending
        decided = [action.message() for action in context.ledger.outstanding()]
        if ending is not None and not self._pause.is_on:
            decided.append(ending_action(self._ending_number, ending, self._carried(ending)))
        if self._app_id and self._settings.engine.records_versions:
            self._route(decided)
        return decided

    def _carried(self, ending: Ending) -> list[messages.HistoryEvent]:
        """The events that nobody has got and the next execution is to have."""
        keeps_all = isinstance(ending, ContinuedAsNew) and ending.save_events
        return self._context.events.kept() if keeps_all else self._pause.late

    def _route(self, decided: list[messages.OrchestratorAction]) -> None:
        """Tell whose actions these are: Dapr's older engines do not find out by themselves."""
        from durabletask.protocol import messages

        for action in decided:
            action.router = messages.TaskRouter(source_app_id=self._app_id)

    def _note(self, level: int, text: str) -> None:
        if not self._context.replaying:
            self._tell(level, text)

    def _tell(self, level: int, text: str) -> None:
        name = f" ({self._name})" if self._name else ""
        self._notes.append(Note(level, f"orchestration '{self._instance_id}'{name}: {text}"))

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


# Engines write these for readers of history; they tell an orchestrator nothing.
_IGNORED = frozenset({
    "orchestrator_completed",
    "execution_completed",
    "execution_rewound",
    "execution_stalled",
    "detached_orchestration_instance_created",
    "generic_event",
})  # fmt: skip

# The code has ended, but history may still contradict it, and events may be carried over.
_HEARD_AFTER_THE_END = records.KINDS | {"event_raised", "execution_terminated"}
