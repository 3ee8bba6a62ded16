from __future__ import annotations

import logging
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durabletask.core.registry import Registry
from durabletask.protocol import messages, methods
from durabletask.protocol.codec import DecodeError
from durabletask.task import OrchestrationContext
from durabletask.worker import (
    MessageTooLargeError,
    VersionFailureStrategy,
    VersioningOptions,
    VersionMatchStrategy,
)
from durabletask.worker._orchestrations import OrchestrationHandler, OrchestrationJob
from durabletask.worker._sessions import SessionCache
from durabletask.worker._work_items import Completion
from tests.builders.worker import (
    START,
    OneInstanceEngine,
    events,
    orchestrator_item,
    unreadable_orchestrator_item,
    work_item_from,
)

if TYPE_CHECKING:
    from collections.abc import Generator

STEPS = 5

# Set in the context of a run, which only the machine itself ends a run in.
within_run: ContextVar[bool] = ContextVar("within_run", default=False)


class Chain:
    """An orchestrator of some steps that counts how often it is begun and ended.

    What the garbage collector ends does not count.
    """

    def __init__(self) -> None:
        self.times_begun = 0
        self.times_ended = 0

    def __call__(self, ctx: OrchestrationContext) -> Generator[Any, Any, list[int]]:
        self.times_begun += 1
        within_run.set(True)
        try:
            done = []
            for _ in range(STEPS):
                result = yield ctx.call_activity("step")
                done.append(result)
            return done
        finally:
            self.times_ended += within_run.get()


def worker(
    chain: Chain, *, sessions: int, versioning: VersioningOptions | None = None
) -> OrchestrationHandler:
    registry = Registry()
    registry.add_orchestrator(chain, "chain")
    return OrchestrationHandler(
        registry,
        SessionCache(limit=sessions, max_bytes=1_000_000),
        logging.getLogger("test"),
        fetch_history=no_history,
        versioning=versioning,
    )


async def no_history(_instance_id: str) -> list[messages.HistoryEvent]:
    raise AssertionError("an engine that sends all of a history was asked for it")


def take(orchestrations: OrchestrationHandler, raw: bytes) -> Completion:
    completion = orchestrations.perform(OrchestrationJob(work_item_from(raw)))
    assert isinstance(completion, Completion)
    return completion


def finish(instance: OneInstanceEngine, orchestrations: OrchestrationHandler) -> list[Any]:
    completions = []
    while not instance.has_ended:
        completion = take(orchestrations, instance.work_item())
        instance.commit(completion.request)
        completions.append(completion.request)
    return completions


def test_a_cached_instance_is_started_once_and_ends_as_a_replayed_one_does() -> None:
    warm, cold = Chain(), Chain()

    warm_completions = finish(OneInstanceEngine("chain"), worker(warm, sessions=10))
    cold_completions = finish(OneInstanceEngine("chain"), worker(cold, sessions=0))

    assert warm_completions == cold_completions
    assert (warm.times_begun, cold.times_begun) == (1, STEPS + 1)
    assert warm.times_ended == 1
    assert cold.times_ended == cold.times_begun


def test_a_cached_instance_needs_no_history_and_decides_as_if_it_had_it() -> None:
    chain, instance = Chain(), OneInstanceEngine("chain")
    warm = worker(chain, sessions=10)
    cold_completions = finish(OneInstanceEngine("chain"), worker(Chain(), sessions=0))

    completions = []
    for _ in range(STEPS + 1):
        raw = instance.work_item(with_past=not instance.past)
        completions.append(take(warm, raw).request)
        instance.commit(completions[-1])

    assert completions == cold_completions
    assert chain.times_begun == 1


def test_a_session_without_history_can_be_given_it_again() -> None:
    chain, instance = Chain(), OneInstanceEngine("chain")
    warm = worker(chain, sessions=10)

    for with_past in (True, False, False, True, False, True):
        instance.commit(take(warm, instance.work_item(with_past=with_past)).request)

    assert instance.result == str(list(range(1, STEPS + 1)))
    assert chain.times_begun == 1


def test_a_worker_that_has_no_session_asks_for_the_history() -> None:
    instance, chain = OneInstanceEngine("chain"), Chain()
    instance.commit(take(worker(Chain(), sessions=0), instance.work_item()).request)
    raw = instance.work_item(with_past=False)

    completion = take(worker(chain, sessions=10), raw)

    assert completion.method is methods.COMPLETE_ORCHESTRATOR_TASK
    assert completion.request == messages.OrchestratorResponse(
        instance_id="one",
        completion_token=work_item_from(raw).token,
        requires_history=True,
    )
    assert chain.times_begun == 0


@given(st.lists(st.sampled_from(["taken", "lost", "taken by another", "restarted"]), max_size=30))
def test_a_worker_without_history_decides_as_if_replayed_or_asks(happenings: list[str]) -> None:
    instance, chain = OneInstanceEngine("chain"), Chain()
    orchestrations = worker(chain, sessions=10)
    mine = False
    for happening in [*happenings, *["taken"] * (STEPS + 1)]:
        if instance.has_ended:
            break
        if happening == "restarted":
            orchestrations = worker(chain, sessions=10)
        # As a sidecar does: only whoever has taken the last turn that counts is sent no history.
        completion = take(orchestrations, instance.work_item(with_past=not mine)).request
        if completion.requires_history:
            completion = take(orchestrations, instance.work_item()).request
        expected = take(worker(Chain(), sessions=0), instance.last_work_item()).request
        assert completion == expected
        if happening != "lost":
            instance.commit(expected)
            mine = happening != "taken by another"

    assert instance.result == str(list(range(1, STEPS + 1)))


@given(st.lists(st.sampled_from(["taken", "lost", "taken by another", "restarted"]), max_size=30))
def test_whatever_happens_to_its_turns_an_instance_is_decided_as_if_replayed(
    happenings: list[str],
) -> None:
    instance, chain = OneInstanceEngine("chain"), Chain()
    orchestrations = worker(chain, sessions=10)
    for happening in [*happenings, *["taken"] * (STEPS + 1)]:
        if instance.has_ended:
            break
        if happening == "restarted":
            orchestrations = worker(chain, sessions=10)
        raw = instance.work_item()
        if happening != "taken by another":
            completion = take(orchestrations, raw)
            assert completion.request == take(worker(Chain(), sessions=0), raw).request
        if happening != "lost":
            instance.commit(take(worker(Chain(), sessions=0), raw).request)

    assert instance.result == str(list(range(1, STEPS + 1)))


def test_instances_do_not_share_a_session() -> None:
    chain = Chain()
    orchestrations = worker(chain, sessions=10)
    instances = [OneInstanceEngine("chain", instance=f"number {n}") for n in range(3)]

    while not all(instance.has_ended for instance in instances):
        for instance in instances:
            instance.commit(take(orchestrations, instance.work_item()).request)

    assert chain.times_begun == 3


STRICT = VersionMatchStrategy.STRICT
REJECT, FAIL = VersionFailureStrategy.REJECT, VersionFailureStrategy.FAIL


@pytest.mark.parametrize("strategy", [FAIL, None])
def test_an_orchestration_of_another_version_fails_where_that_is_asked_for_or_nothing_is(
    strategy: VersionFailureStrategy | None, caplog: pytest.LogCaptureFixture
) -> None:
    instance, chain = OneInstanceEngine("chain", version="2.0"), Chain()
    options = VersioningOptions("1.0", None, STRICT, strategy)

    finish(instance, worker(chain, sessions=10, versioning=options))

    assert instance.failure is not None
    assert instance.failure.error_type == "VersionMismatch"
    assert instance.failure.is_non_retriable
    assert instance.failure.error_message == (
        "The orchestration version '2.0' does not match the worker version '1.0'."
    )
    assert chain.times_begun == 0
    assert "'2.0'" in caplog.text


@pytest.mark.parametrize("turns_before", [0, 2])
def test_an_orchestration_of_another_version_is_handed_back_where_that_is_asked_for(
    turns_before: int, caplog: pytest.LogCaptureFixture
) -> None:
    instance, chain = OneInstanceEngine("chain", version="2.0"), Chain()
    for _ in range(turns_before):
        instance.commit(take(worker(Chain(), sessions=0), instance.work_item()).request)
    options = VersioningOptions("1.0", None, STRICT, REJECT)
    raw = instance.work_item()

    completion = take(worker(chain, sessions=10, versioning=options), raw)

    assert completion.method is methods.ABANDON_ORCHESTRATION_TASK
    assert completion.request.completion_token == work_item_from(raw).token
    assert chain.times_begun == 0
    assert "handed back" in caplog.text


@pytest.mark.parametrize(
    ("options", "version"),
    [
        (VersioningOptions("1.0"), "2.0"),
        (VersioningOptions("1.0", None, VersionMatchStrategy.NONE, FAIL), "2.0"),
        (VersioningOptions("1.0", None, STRICT, FAIL), "1"),
        (VersioningOptions("1.0", None, VersionMatchStrategy.CURRENT_OR_OLDER, FAIL), None),
    ],
)
@pytest.mark.parametrize("sessions", [0, 10], ids=["replayed", "warm"])
def test_an_orchestration_whose_version_matches_is_run(
    options: VersioningOptions, version: str | None, sessions: int
) -> None:
    instance = OneInstanceEngine("chain", version=version)

    finish(instance, worker(Chain(), sessions=sessions, versioning=options))

    assert instance.result == str(list(range(1, STEPS + 1)))


def failed_chain() -> list[messages.HistoryEvent]:
    """The history of a chain that has failed at its first step."""
    return [
        events.orchestrator_started(START),
        events.execution_started("chain", instance_id="one", execution_id="first", at=START),
        events.task_scheduled(1, "step"),
        events.orchestrator_started(START),
        events.task_failed(1, messages.TaskFailureDetails(error_type="E", error_message="no")),
        events.execution_completed(messages.OrchestrationStatus.FAILED),
    ]


def test_a_rewind_is_completed_with_a_new_history_which_the_next_turn_continues() -> None:
    chain = Chain()
    orchestrations = worker(chain, sessions=10)
    rewound = [events.orchestrator_started(START), events.execution_rewound("again")]

    completion = take(orchestrations, orchestrator_item(rewound, past=failed_chain()))

    (action,) = completion.request.actions
    history = action.rewind_orchestration.new_history
    go_on = orchestrator_item(
        [events.orchestrator_started(START)], past=history, execution="another"
    )
    decided = take(orchestrations, go_on).request
    assert action.id == -1
    assert [each.schedule_task.name for each in decided.actions] == ["step"]


def test_a_rewind_drops_the_session_there_is() -> None:
    chain = Chain()
    orchestrations = worker(chain, sessions=10)
    past = failed_chain()
    take(orchestrations, orchestrator_item(past[:2]))
    rewound = [events.orchestrator_started(START), events.execution_rewound("again")]

    completion = take(orchestrations, orchestrator_item(rewound, past=past))

    assert completion.request.actions[0].rewind_orchestration is not None
    assert chain.times_begun == chain.times_ended


def test_a_rewind_together_with_other_events_raises_an_error_and_is_handed_back() -> None:
    new = [events.orchestrator_started(START), events.execution_rewound(), events.event_raised("e")]

    with pytest.raises(ValueError, match="exactly two events"):
        take(worker(Chain(), sessions=10), orchestrator_item(new, past=failed_chain()))


def test_an_unknown_orchestrator_fails_its_instance_and_names_what_is_registered() -> None:
    instance = OneInstanceEngine("chian")

    finish(instance, worker(Chain(), sessions=10))

    assert instance.failure is not None
    assert instance.failure.error_type == "durabletask.worker.OrchestratorNotRegisteredError"
    assert "'chain'" in instance.failure.error_message


def test_a_turn_that_is_too_large_fails_the_orchestration_and_evicts_its_session() -> None:
    instance, chain = OneInstanceEngine("chain"), Chain()
    orchestrations = worker(chain, sessions=10)
    completion = take(orchestrations, instance.work_item())
    assert completion.fallback is not None

    instead = completion.fallback(MessageTooLargeError("it takes 5 bytes, and the limit is 4."))
    instance.commit(instead.request)

    assert instead.method is methods.COMPLETE_ORCHESTRATOR_TASK
    assert instead.request.completion_token == completion.request.completion_token
    assert instance.failure is not None
    assert instance.failure.error_type == "durabletask.worker.MessageTooLargeError"
    assert "the limit is 4" in instance.failure.error_message
    take(orchestrations, OneInstanceEngine("chain", instance="another").work_item())
    assert chain.times_ended == 1


def test_a_request_that_cannot_be_decoded_raises_an_error_and_is_handed_back() -> None:
    with pytest.raises(DecodeError):
        take(worker(Chain(), sessions=10), unreadable_orchestrator_item())


def test_a_machine_whose_next_turn_cannot_be_decoded_is_closed() -> None:
    instance, chain = OneInstanceEngine("chain"), Chain()
    orchestrations = worker(chain, sessions=10)
    instance.commit(take(orchestrations, instance.work_item()).request)

    # A request may come in pieces: the second one here is an event that is cut off.
    with pytest.raises(DecodeError):
        take(orchestrations, instance.work_item() + unreadable_orchestrator_item())

    assert chain.times_ended == 1


def test_what_a_turn_notes_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    finish(OneInstanceEngine("unheard-of", instance="the instance"), worker(Chain(), sessions=10))

    assert "the instance" in caplog.text
    assert "unheard-of" in caplog.text


def test_a_turn_is_handed_back_by_its_token() -> None:
    raw = orchestrator_item([events.orchestrator_started()], token="the token")

    completion = worker(Chain(), sessions=10).abandon(work_item_from(raw))

    assert completion.method is methods.ABANDON_ORCHESTRATION_TASK
    assert completion.request.completion_token == "the token"
