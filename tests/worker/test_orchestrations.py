from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.worker import OneInstance, events, orchestrator_item, unreadable_turn
from durabletask.core.registry import Registry
from durabletask.core.settings import Settings
from durabletask.protocol import dialects, methods, work_items
from durabletask.protocol.codec import DecodeError
from durabletask.task import OrchestrationContext
from durabletask.worker import MessageTooLargeError
from durabletask.worker._orchestrations import Orchestrations, Turn
from durabletask.worker._sessions import Sessions
from durabletask.worker._work import Answer, WorkItem

if TYPE_CHECKING:
    from collections.abc import Generator

STEPS = 5


class Chain:
    """An orchestrator of some steps that counts how often it is begun and ended."""

    def __init__(self) -> None:
        self.times_begun = 0
        self.times_ended = 0

    def __call__(self, ctx: OrchestrationContext) -> Generator[Any, Any, list[int]]:
        self.times_begun += 1
        try:
            done = []
            for _ in range(STEPS):
                result = yield ctx.call_activity("step")
                done.append(result)
            return done
        finally:
            self.times_ended += 1


def worker(chain: Chain, *, sessions: int) -> Orchestrations:
    registry = Registry()
    registry.add_orchestrator(chain, "chain")
    return Orchestrations(
        registry,
        Settings(),
        Sessions(limit=sessions, weight_limit=1_000_000),
        dialects.TASKHUB,
        logging.getLogger("test"),
    )


def take(orchestrations: Orchestrations, raw: bytes) -> Answer:
    return orchestrations.perform(Turn(WorkItem(raw, work_items.peek(raw))))


def finish(instance: OneInstance, orchestrations: Orchestrations) -> list[Any]:
    answers = []
    while not instance.has_ended:
        answer = take(orchestrations, instance.work_item())
        instance.commit(answer.request)
        answers.append(answer.request)
    return answers


def test_a_warm_instance_is_begun_once_and_ends_as_a_replayed_one_does() -> None:
    warm, cold = Chain(), Chain()

    warm_answers = finish(OneInstance("chain"), worker(warm, sessions=10))
    cold_answers = finish(OneInstance("chain"), worker(cold, sessions=0))

    assert warm_answers == cold_answers
    assert (warm.times_begun, cold.times_begun) == (1, STEPS + 1)
    assert warm.times_ended == 1
    assert cold.times_ended == cold.times_begun


@given(st.lists(st.sampled_from(["taken", "lost", "taken by another", "restarted"]), max_size=30))
def test_whatever_happens_to_its_turns_an_instance_is_decided_as_if_replayed(
    happenings: list[str],
) -> None:
    instance, chain = OneInstance("chain"), Chain()
    orchestrations = worker(chain, sessions=10)
    for happening in [*happenings, *["taken"] * (STEPS + 1)]:
        if instance.has_ended:
            break
        if happening == "restarted":
            orchestrations = worker(chain, sessions=10)
        raw = instance.work_item()
        if happening != "taken by another":
            answer = take(orchestrations, raw)
            assert answer.request == take(worker(Chain(), sessions=0), raw).request
        if happening != "lost":
            instance.commit(take(worker(Chain(), sessions=0), raw).request)

    assert instance.result == str(list(range(1, STEPS + 1)))


def test_instances_do_not_share_a_session() -> None:
    chain = Chain()
    orchestrations = worker(chain, sessions=10)
    instances = [OneInstance("chain", instance=f"number {n}") for n in range(3)]

    while not all(instance.has_ended for instance in instances):
        for instance in instances:
            instance.commit(take(orchestrations, instance.work_item()).request)

    assert chain.times_begun == 3


def test_an_unknown_orchestrator_fails_its_instance_and_says_what_there_is() -> None:
    instance = OneInstance("chian")

    finish(instance, worker(Chain(), sessions=10))

    assert instance.failure is not None
    assert instance.failure.error_type == "durabletask.worker.OrchestratorNotRegisteredError"
    assert "'chain'" in instance.failure.error_message


def test_a_turn_that_is_too_large_fails_the_orchestration_and_forgets_its_machine() -> None:
    instance, chain = OneInstance("chain"), Chain()
    orchestrations = worker(chain, sessions=10)
    answer = take(orchestrations, instance.work_item())
    assert answer.or_else is not None

    instead = answer.or_else(MessageTooLargeError("it takes 5 bytes, and the limit is 4."))
    instance.commit(instead.request)

    assert instead.method is methods.COMPLETE_ORCHESTRATOR_TASK
    assert instead.request.completion_token == answer.request.completion_token
    assert instance.failure is not None
    assert instance.failure.error_type == "durabletask.worker.MessageTooLargeError"
    assert "the limit is 4" in instance.failure.error_message
    take(orchestrations, OneInstance("chain", instance="another").work_item())
    assert chain.times_ended == 1


def test_a_request_that_cannot_be_read_is_raised_to_be_handed_back() -> None:
    with pytest.raises(DecodeError):
        take(worker(Chain(), sessions=10), unreadable_turn())


def test_a_machine_whose_next_turn_cannot_be_read_is_closed() -> None:
    instance, chain = OneInstance("chain"), Chain()
    orchestrations = worker(chain, sessions=10)
    instance.commit(take(orchestrations, instance.work_item()).request)

    # A request may come in pieces: the second one here is an event that is cut off.
    with pytest.raises(DecodeError):
        take(orchestrations, instance.work_item() + unreadable_turn())

    assert chain.times_ended == 1


def test_what_a_turn_notes_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    finish(OneInstance("unheard-of", instance="the instance"), worker(Chain(), sessions=10))

    assert "the instance" in caplog.text
    assert "unheard-of" in caplog.text


def test_a_turn_is_handed_back_by_its_token() -> None:
    raw = orchestrator_item([events.orchestrator_started()], token="the token")

    answer = worker(Chain(), sessions=10).abandon(WorkItem(raw, work_items.peek(raw)))

    assert answer.method is methods.ABANDON_ORCHESTRATION_TASK
    assert answer.request.completion_token == "the token"
