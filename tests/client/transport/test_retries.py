"""Which calls are repeated, and for how long: claims about the table of retries."""

from __future__ import annotations

import pytest
from grpc import StatusCode
from hypothesis import given
from hypothesis import strategies as st

from durabletask.protocol import methods
from durabletask.transport.retry import (
    RECONNECT_WINDOW,
    Failure,
    Retries,
    Safety,
    may_repeat,
    safety_of,
)

REFUSED = Failure("UNAVAILABLE", "failed to connect to all addresses; last error: refused")
LOST = Failure("UNAVAILABLE", "Socket closed")
STATUSES = [code.name for code in StatusCode]
PATIENCE = 0.8


def retries(safety: Safety = Safety.REPEATABLE, *, deadline: float = 30.0) -> Retries:
    return Retries(safety, deadline, PATIENCE)


def outlast(under_test: Retries, failure: Failure, *, now: float, jitter: float = 0.5) -> float:
    """Fail each attempt at once until the retries give up; returns when that was."""
    while True:
        under_test.begin(now)
        pause = under_test.pause_after(failure, now=now, jitter=jitter)
        if pause is None:
            return now
        now += pause


@pytest.mark.parametrize(
    "method",
    [
        "RaiseEvent",
        "SignalEntity",
        "RewindInstance",
        "RestartInstance",
        "PurgeInstances",
        "CleanEntityStorage",
        "SomethingNew",
    ],
)
@pytest.mark.parametrize("status", STATUSES)
def test_a_call_that_may_have_been_carried_out_is_not_repeated(method: str, status: str) -> None:
    assert not may_repeat(safety_of(method), Failure(status, "Socket closed"))


@pytest.mark.parametrize("method", methods.ALL, ids=lambda method: method.name)
def test_a_call_that_was_never_sent_is_repeated(method: methods.Method) -> None:
    assert may_repeat(safety_of(method.name), REFUSED)


@pytest.mark.parametrize(
    "method",
    [
        "StartInstance",
        "GetInstance",
        "WaitForInstanceCompletion",
        "QueryInstances",
        "ListInstanceIds",
        "StreamInstanceHistory",
        "GetEntity",
        "QueryEntities",
    ],
)
def test_reads_waits_and_starts_are_repeated_after_a_lost_connection(method: str) -> None:
    assert may_repeat(safety_of(method), LOST)


@pytest.mark.parametrize("status", sorted({*STATUSES} - {"UNAVAILABLE", "CANCELLED"}))
@pytest.mark.parametrize("safety", Safety)
def test_an_answer_is_never_followed_by_a_repetition(safety: Safety, status: str) -> None:
    assert retries(safety).pause_after(Failure(status), now=0, jitter=0) is None


def test_every_method_in_the_table_is_one_of_the_protocol() -> None:
    from durabletask.transport import retry

    assert set(retry._SAFETY) <= {method.name for method in methods.ALL}


@given(st.floats(0, 0.999))
def test_an_unreachable_address_gets_several_attempts_within_a_second(jitter: float) -> None:
    under_test = retries()

    gave_up = outlast(under_test, REFUSED, now=0.0, jitter=jitter)

    assert 0 < gave_up < PATIENCE


def test_pauses_grow() -> None:
    under_test = Retries(Safety.REPEATABLE, 1000.0, 100.0)

    pauses = [under_test.pause_after(LOST, now=0.0, jitter=0.0) for _ in range(5)]

    assert pauses == [0.1, 0.2, 0.4, 0.5, 0.5]


@given(st.floats(0, 5), st.sampled_from(Safety), st.floats(0, 0.999), st.booleans())
def test_no_attempt_begins_after_the_deadline(
    deadline: float, safety: Safety, jitter: float, was_there: bool
) -> None:
    under_test = Retries(safety, deadline, PATIENCE, was_there)

    assert outlast(under_test, REFUSED, now=0.0, jitter=jitter) <= deadline


def test_an_attempt_may_take_what_is_left() -> None:
    under_test = retries(deadline=30.0)

    assert [under_test.begin(now) for now in (0.0, 29.0, 31.0)] == [30.0, 1.0, 0.0]


def test_a_wait_survives_the_restart_of_a_sidecar_that_was_there() -> None:
    under_test = Retries(Safety.WAIT, 1000.0, PATIENCE, sidecar_was_there=True)

    gave_up = outlast(under_test, REFUSED, now=0.0)

    assert RECONNECT_WINDOW - 1 < gave_up < RECONNECT_WINDOW


def test_a_wait_that_lasted_had_reached_its_sidecar() -> None:
    under_test = retries(Safety.WAIT, deadline=1000.0)
    under_test.begin(0.0)
    under_test.pause_after(LOST, now=5.0, jitter=0.5)

    gave_up = outlast(under_test, REFUSED, now=6.0)

    assert 5.0 + RECONNECT_WINDOW - 1 < gave_up < 5.0 + RECONNECT_WINDOW


def test_each_outage_of_a_long_wait_counts_for_itself() -> None:
    under_test = retries(Safety.WAIT, deadline=10_000.0)

    for lost_at in (100.0, 200.0, 300.0):
        under_test.begin(lost_at - 90.0)
        assert under_test.pause_after(LOST, now=lost_at, jitter=0.0) == 0.1


def test_a_wait_that_never_reached_a_sidecar_is_repeated_no_longer_than_other_calls() -> None:
    slow_to_be_refused = retries(Safety.WAIT)
    slow_to_be_refused.begin(0.0)

    slow_to_be_refused.pause_after(REFUSED, now=5.0, jitter=0.5)

    assert outlast(slow_to_be_refused, REFUSED, now=5.1) < 5.0 + PATIENCE


@pytest.mark.parametrize("safety", Safety)
def test_no_patience_means_no_repetition(safety: Safety) -> None:
    under_test = Retries(safety, 30.0, patience=0.0, sidecar_was_there=True)

    assert under_test.pause_after(REFUSED, now=0.0, jitter=0.0) is None


@pytest.mark.parametrize(
    ("status", "details", "left", "expected"),
    [
        ("DEADLINE_EXCEEDED", "", 0.0, True),
        ("UNAVAILABLE", "Stream removed (RST_STREAM (error code 8))", 0.0, True),
        ("CANCELLED", "Received RST_STREAM with error code 8", 0.05, True),
        ("UNAVAILABLE", "Stream removed (RST_STREAM (error code 8))", 5.0, False),
        ("UNAVAILABLE", "failed to connect to all addresses", 0.0, False),
        ("INTERNAL", "Received RST_STREAM with error code 2", 0.0, False),
    ],
)
def test_a_reset_at_the_deadline_is_the_deadline(
    status: str, details: str, left: float, *, expected: bool
) -> None:
    assert Failure(status, details).is_deadline(left) is expected
