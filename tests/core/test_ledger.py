"""The ledger numbers what is asked for, and notices when history tells otherwise."""

from __future__ import annotations

import pytest

from durabletask.core.actions import (
    CALL_ACTIVITY,
    CALL_SUB_ORCHESTRATOR,
    CREATE_TIMER,
    SEND_EVENT,
    Action,
    ScheduleActivity,
    SendEvent,
    StartTimer,
)
from durabletask.core.ledger import Ledger
from durabletask.failures import NonDeterminismError
from tests.builders.core import START


def activity(ledger: Ledger, name: str) -> Action:
    action = ScheduleActivity(ledger.next_number(), name, None, None, None)
    ledger.ask(action)
    return action


def timer(ledger: Ledger) -> Action:
    action = StartTimer(ledger.next_number(), START)
    ledger.ask(action)
    return action


def event(ledger: Ledger, target: str, name: str) -> Action:
    action = SendEvent(ledger.next_number(), name, target, None)
    ledger.ask(action)
    return action


def test_numbers_count_from_one() -> None:
    ledger = Ledger()

    assert [activity(ledger, "a").id, timer(ledger).id, ledger.next_number()] == [1, 2, 3]


def test_confirmed_actions_are_not_outstanding() -> None:
    ledger = Ledger()
    greet, nap = activity(ledger, "greet"), timer(ledger)

    ledger.confirm(greet.id, CALL_ACTIVITY, "greet")

    assert ledger.outstanding() == [nap]


def test_a_retried_action_comes_again_under_its_number() -> None:
    ledger = Ledger()
    greet = activity(ledger, "greet")
    ledger.confirm(greet.id, CALL_ACTIVITY, "greet")

    ledger.ask(greet)

    assert ledger.outstanding() == [greet]
    ledger.confirm(greet.id, CALL_ACTIVITY, "greet")
    assert ledger.outstanding() == []


@pytest.mark.parametrize(
    ("number", "method", "name"),
    [
        (1, CALL_ACTIVITY, "part"),
        (1, CALL_SUB_ORCHESTRATOR, "greet"),
        (2, CALL_ACTIVITY, "greet"),
    ],
    ids=["other name", "other kind", "nothing asked"],
)
def test_another_account_is_an_error_and_changes_nothing(
    number: int, method: str, name: str
) -> None:
    ledger = Ledger()
    greet = activity(ledger, "greet")

    with pytest.raises(NonDeterminismError):
        ledger.confirm(number, method, name)

    assert ledger.outstanding() == [greet]


def test_the_error_names_both_sides() -> None:
    ledger = Ledger()
    activity(ledger, "greet")

    with pytest.raises(NonDeterminismError) as caught:
        ledger.confirm(1, CREATE_TIMER)

    text = str(caught.value)
    assert "create_timer" in text
    assert "call_activity('greet')" in text
    assert "ID=1" in text


def test_events_are_compared_by_target_and_by_name_whatever_its_case() -> None:
    ledger = Ledger()
    event(ledger, "other", "Ping")
    event(ledger, "other", "Ping")

    ledger.confirm(1, SEND_EVENT, "pING", "other")
    with pytest.raises(NonDeterminismError, match="Other"):
        ledger.confirm(2, SEND_EVENT, "Ping", "Other")


def test_withdrawing_forgets_only_what_has_not_left() -> None:
    ledger = Ledger()
    first, second = timer(ledger), timer(ledger)
    ledger.confirm(first.id, CREATE_TIMER)

    ledger.withdraw(first.id)
    ledger.withdraw(second.id)

    assert ledger.outstanding() == []


def test_withdrawing_by_method_keeps_the_others() -> None:
    ledger = Ledger()
    greet = activity(ledger, "greet")
    timer(ledger)

    ledger.withdraw_all(CREATE_TIMER)
    assert ledger.outstanding() == [greet]

    ledger.withdraw_all()
    assert ledger.outstanding() == []
