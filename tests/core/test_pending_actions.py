"""Actions get ids, and history that records something else is an error."""

from __future__ import annotations

import pytest

from durabletask.core import actions
from durabletask.core.actions import (
    CALL_ACTIVITY,
    CALL_SUB_ORCHESTRATOR,
    CREATE_TIMER,
    SEND_EVENT,
    Action,
    ActionKind,
)
from durabletask.core.pending_actions import PendingActions
from durabletask.failures import NonDeterminismError
from tests.builders.core import START


def activity(pending: PendingActions, name: str) -> Action:
    action = actions.call_activity(pending.next_id(), name, None)
    pending.add(action)
    return action


def timer(pending: PendingActions) -> Action:
    action = actions.create_timer(pending.next_id(), START)
    pending.add(action)
    return action


def event(pending: PendingActions, target: str, name: str) -> Action:
    action = actions.send_event(pending.next_id(), name, target, None)
    pending.add(action)
    return action


def test_ids_count_from_one() -> None:
    pending = PendingActions()

    assert [activity(pending, "a").id, timer(pending).id, pending.next_id()] == [1, 2, 3]


def test_confirmed_actions_are_not_outstanding() -> None:
    pending = PendingActions()
    greet, nap = activity(pending, "greet"), timer(pending)

    pending.confirm(greet.id, CALL_ACTIVITY, "greet")

    assert pending.outstanding() == [nap]


def test_a_retried_action_comes_again_under_its_id() -> None:
    pending = PendingActions()
    greet = activity(pending, "greet")
    pending.confirm(greet.id, CALL_ACTIVITY, "greet")

    pending.add(greet)

    assert pending.outstanding() == [greet]
    pending.confirm(greet.id, CALL_ACTIVITY, "greet")
    assert pending.outstanding() == []


@pytest.mark.parametrize(
    ("id", "kind", "name"),
    [
        (1, CALL_ACTIVITY, "part"),
        (1, CALL_SUB_ORCHESTRATOR, "greet"),
        (2, CALL_ACTIVITY, "greet"),
    ],
    ids=["other name", "other kind", "nothing asked"],
)
def test_another_record_is_an_error_and_changes_nothing(
    id: int, kind: ActionKind, name: str
) -> None:
    pending = PendingActions()
    greet = activity(pending, "greet")

    with pytest.raises(NonDeterminismError):
        pending.confirm(id, kind, name)

    assert pending.outstanding() == [greet]


def test_the_error_names_both_sides() -> None:
    pending = PendingActions()
    activity(pending, "greet")

    with pytest.raises(NonDeterminismError) as caught:
        pending.confirm(1, CREATE_TIMER)

    text = str(caught.value)
    assert "create_timer" in text
    assert "call_activity('greet')" in text
    assert "ID=1" in text


def test_events_are_compared_by_target_and_by_name_whatever_its_case() -> None:
    pending = PendingActions()
    event(pending, "other", "Ping")
    event(pending, "other", "Ping")

    pending.confirm(1, SEND_EVENT, "pING", "other")
    with pytest.raises(NonDeterminismError, match="Other"):
        pending.confirm(2, SEND_EVENT, "Ping", "Other")


def test_discarding_drops_only_what_has_not_been_sent() -> None:
    pending = PendingActions()
    first, second = timer(pending), timer(pending)
    pending.confirm(first.id, CREATE_TIMER)

    pending.discard(first.id)
    pending.discard(second.id)

    assert pending.outstanding() == []


def test_discarding_by_kind_keeps_the_others() -> None:
    pending = PendingActions()
    greet = activity(pending, "greet")
    timer(pending)

    pending.discard_all(CREATE_TIMER)
    assert pending.outstanding() == [greet]

    pending.discard_all()
    assert pending.outstanding() == []
