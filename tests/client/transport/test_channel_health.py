"""When a channel is replaced."""

from __future__ import annotations

import pytest

from durabletask import transport
from durabletask.transport.limits import ChannelHealth


def renewals(health: ChannelHealth, statuses: list[str], *, now: float = 0.0) -> list[bool]:
    return [health.is_renewal_due(status, now) for status in statuses]


def test_enough_failures_in_a_row_renew_the_channel() -> None:
    health = ChannelHealth(threshold=3)

    assert renewals(health, ["UNAVAILABLE", "DEADLINE_EXCEEDED", "UNAVAILABLE"]) == [
        False,
        False,
        True,
    ]


def test_an_answer_resets_the_count() -> None:
    health = ChannelHealth(threshold=2)
    renewals(health, ["UNAVAILABLE"])

    health.answered()

    assert renewals(health, ["UNAVAILABLE", "UNAVAILABLE"]) == [False, True]


@pytest.mark.parametrize("status", ["NOT_FOUND", "ALREADY_EXISTS", "INTERNAL"])
def test_a_refusal_is_an_answer(status: str) -> None:
    health = ChannelHealth(threshold=2)

    assert renewals(health, ["UNAVAILABLE", status, "UNAVAILABLE"]) == [False] * 3
    assert health.has_answered


def test_a_channel_is_not_renewed_again_within_the_interval() -> None:
    health = ChannelHealth(threshold=1, min_interval=30.0)

    assert renewals(health, ["UNAVAILABLE"], now=100.0) == [True]
    assert renewals(health, ["UNAVAILABLE"] * 9, now=129.9) == [False] * 9
    assert renewals(health, ["UNAVAILABLE"], now=130.0) == [True]


def test_a_threshold_of_zero_keeps_the_channel_for_ever() -> None:
    health = ChannelHealth(threshold=0)

    assert not any(renewals(health, ["UNAVAILABLE"] * 100))
    assert not health.has_answered


def test_a_program_imports_the_argument_of_a_transport_from_where_it_imports_the_transport() -> (
    None
):
    assert transport.ChannelHealth is ChannelHealth
    assert "ChannelHealth" in transport.__all__
