"""What clients were told and activities did against what is found: each disagreement is named."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.load.checker import applied, check
from tests.load.effects import Effect
from tests.load.observations import Entity
from tests.load.small_run import (
    LEAF,
    child,
    child_completed,
    completed,
    entities,
    expectations,
    instance,
    observations,
    raised,
    scheduled,
)
from tests.load.violations import Kind


def test_a_run_in_which_all_went_well_has_no_fault() -> None:
    assert check(expectations(), observations()) == []


def test_what_was_never_acknowledged_may_be_there_or_not() -> None:
    notes = {"effects": [], "notes": ["n1", "n2"]}
    found = observations(
        maybe=instance(), mailbox=instance(raised("n1"), raised("n2"), raised(None), output=notes)
    )

    assert check(expectations(), found) == []


def test_an_activity_may_be_carried_out_more_often_than_it_counts() -> None:
    assert len(observations().effects) == 3
    assert applied(observations()) == 2


NOTES = {"effects": [], "notes": ["n1"]}
ONE = {"effects": ["e1"]}

# What is found of one instance or another, the kind of violation, whose it is and its text.
SPOILED = {
    "a start that was acknowledged": ({"order": None}, Kind.LOST, "order", "acknowledged"),
    "a completion": (
        {"transfer": instance(status="RUNNING")},
        Kind.LOST,
        "transfer",
        "it is RUNNING",
    ),
    "an ending that a client was told of, by another": (
        {"order": instance(scheduled(1), completed(1, "again"), output={"effects": ["again"]})},
        Kind.LOST,
        "order",
        "that a client was told of",
    ),
    "an instance that nobody asked for": (
        {"raw_client": instance()},
        Kind.WRONG,
        "raw_client",
        "nobody asked for",
    ),
    "a result that nobody produced": (
        {"parent": instance(scheduled(1), completed(1, "forged"), child(2), child_completed(2))},
        Kind.WRONG,
        "parent",
        "nobody produced",
    ),
    "a result of another task": (
        {"order": instance(scheduled(2), completed(2, "e1"), output=ONE)},
        Kind.WRONG,
        "order",
        "of another task",
    ),
    "a result of another instance": (
        {"maybe": instance(scheduled(1), completed(1, "e1"), output=ONE)},
        Kind.WRONG,
        "maybe",
        "of another task",
    ),
    "an effect that is the result of two tasks": (
        {"order": instance(*(scheduled(1), completed(1), scheduled(2), completed(2)), output=ONE)},
        Kind.DOUBLED,
        "e1",
        "2 tasks",
    ),
    "an effect twice in an output": (
        {"child": instance(output={"effects": ["e2", "e2"]}, parent="parent")},
        Kind.DOUBLED,
        "child",
        "in its output",
    ),
    "an effect of another in an output": (
        {"child": instance(output={"effects": ["e1"]}, parent="parent")},
        Kind.WRONG,
        "child",
        "none of its own",
    ),
    "a result that the output does not have": (
        {"order": instance(scheduled(1), completed(1))},
        Kind.LOST,
        "order",
        "the result of task 1",
    ),
    "too few effects in an output": ({"order": instance()}, Kind.LOST, "order", "0 effects"),
    "too many effects in an output": (
        {"order": instance(output={"effects": ["e1", "again"]})},
        Kind.DOUBLED,
        "order",
        "2 effects",
    ),
    "an event that was acknowledged": (
        {"mailbox": instance(raised(None), output={"effects": [], "notes": []})},
        Kind.LOST,
        "mailbox",
        "event n1",
    ),
    "an event that is in the history but was not told": (
        {"mailbox": instance(raised("n1"), output={"effects": [], "notes": []})},
        Kind.LOST,
        "mailbox",
        "not told",
    ),
    "an event twice in a history": (
        {"mailbox": instance(raised("n1"), raised("n1"), output=NOTES)},
        Kind.DOUBLED,
        "mailbox",
        "event n1",
    ),
    "an event told twice by a generation that is gone": (
        {"mailbox": instance(raised(None), output={"effects": [], "notes": ["n1", "n1"]})},
        Kind.DOUBLED,
        "mailbox",
        "event n1",
    ),
    "an unacknowledged event twice": (
        {
            "mailbox": instance(
                *(raised("n1"), raised("n2"), raised("n2")),
                output={"effects": [], "notes": ["n1", "n2"]},
            )
        },
        Kind.DOUBLED,
        "mailbox",
        "event n2",
    ),
    "an event that nobody sent": (
        {"mailbox": instance(raised("n1"), raised("n3"), output={**NOTES, "notes": ["n1", "n3"]})},
        Kind.WRONG,
        "mailbox",
        "nobody sent",
    ),
    "an event of somebody else": (
        {"transfer": instance(raised("n1"))},
        Kind.WRONG,
        "transfer",
        "nobody sent",
    ),
    "a child": ({"child": None}, Kind.LOST, "parent", "its child child"),
    "a child of another parent": (
        {"child": instance(scheduled(1), completed(1, "e2"), output=LEAF, parent="order")},
        Kind.WRONG,
        "child",
        "not of parent",
    ),
    "a child that its parent did not ask for": (
        {"second": instance(parent="parent")},
        Kind.WRONG,
        "second",
        "did not ask for",
    ),
    "a child that ended otherwise than its parent was told": (
        {"parent": instance(child(1), child_completed(1, {"effects": ["again"]}))},
        Kind.WRONG,
        "parent",
        "otherwise",
    ),
    "balances that changed under a lock": (
        {"transfer": instance(output={"effects": [], "balances": [0, 0, 0, 1]})},
        Kind.WRONG,
        "transfer",
        "had locked",
    ),
    "a history that is wrong by itself": (
        {"transfer": instance(scheduled(1))},
        Kind.LOST,
        "transfer",
        "the answer to task 1",
    ),
}


@pytest.mark.parametrize(("spoiled", "kind", "of", "text"), SPOILED.values(), ids=SPOILED)
def test_what_is_found_and_was_not_promised_is_a_fault(spoiled, kind, of, text) -> None:
    violations = check(expectations(), observations(**spoiled))

    assert [
        violation
        for violation in violations
        if violation.kind is kind and violation.of == of and text in str(violation)
    ]


ENTITIES = {
    "a move": (Entity([]), Kind.LOST, "the move of transfer"),
    "a move twice": (
        Entity([("transfer", -1), ("transfer", -1)]),
        Kind.DOUBLED,
        "the move of transfer",
    ),
    "a move by another amount": (Entity([("transfer", -2)]), Kind.WRONG, "nobody asked for"),
    "a move of nobody": (
        Entity([("transfer", -1), ("raw_client", 1)]),
        Kind.WRONG,
        "a move of raw_client",
    ),
    "a lock that was left": (
        Entity([("transfer", -1)], locked_by="transfer"),
        Kind.WRONG,
        "still locked",
    ),
    "messages that were left": (Entity([("transfer", -1)], backlog=1), Kind.LOST, "1 messages"),
}


@pytest.mark.parametrize(("spoiled", "kind", "text"), ENTITIES.values(), ids=ENTITIES)
def test_an_entity_that_is_not_what_it_was_made_is_a_fault(spoiled, kind, text) -> None:
    found = replace(observations(), entities=entities() | {"@account@a": spoiled})

    violations = check(expectations(), found)

    assert [
        violation for violation in violations if violation.kind is kind and text in violation.what
    ]
    assert {violation.of for violation in violations} == {"@account@a"}


def test_an_unacknowledged_signal_that_counts_twice_is_a_fault() -> None:
    twice = Entity([("transfer", 1), ("signal", 1), ("signal", 1)])
    found = replace(observations(), entities=entities() | {"@account@b": twice})

    (violation,) = check(expectations(), found)

    assert violation.kind is Kind.DOUBLED


def test_an_effect_that_is_in_no_log_is_a_fault() -> None:
    found = replace(observations(), effects=[Effect("e2", "child", 1, "w")])

    assert {violation.of for violation in check(expectations(), found)} == {"order"}
