"""Histories by themselves: those that engines write, and each way in which one can be wrong."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from durabletask.protocol import codec, events, messages
from durabletask.sidecar.audit import Finding, histories
from durabletask.sidecar.engine import pending
from durabletask.sidecar.store.encoded_events import repeated_field
from tests.builders.engine import EPOCH, failure

if TYPE_CHECKING:
    from collections.abc import Sequence

Status = messages.OrchestrationStatus
History = list[Any]


def turn(second: int = 0) -> Any:
    return events.orchestrator_started(EPOCH + timedelta(seconds=second))


def started() -> Any:
    return events.execution_started("order", instance_id="a", execution_id="run", at=EPOCH)


def completed(status: Any = Status.COMPLETED) -> Any:
    return events.execution_completed(status, at=EPOCH, event_id=9)


def rewound() -> Any:
    return events.execution_rewound("again", at=EPOCH)


def terminated() -> Any:
    return events.execution_terminated("enough", at=EPOCH)


def asked(id: int = 1) -> Any:
    return events.task_scheduled(id, "greet", at=EPOCH)


def answered(id: int = 1) -> Any:
    return events.task_completed(id, at=EPOCH)


def timer(id: int = 1) -> Any:
    return events.timer_created(id, EPOCH, at=EPOCH)


def fired(id: int = 1) -> Any:
    return events.timer_fired(id, EPOCH, at=EPOCH)


def child(id: int = 1, **fields: Any) -> Any:
    return events.sub_orchestration_instance_created(
        id, "ship", instance_id="kid", at=EPOCH, **fields
    )


def reported(id: int = 1) -> Any:
    return events.sub_orchestration_instance_completed(id, at=EPOCH)


def called(request_id: str = "r") -> Any:
    return events.entity_operation_called(1, "@counter@a", "get", request_id=request_id, at=EPOCH)


def replied(request_id: str = "r") -> Any:
    return events.entity_operation_completed(request_id, at=EPOCH)


def wanted(section: str = "s") -> Any:
    return events.entity_lock_requested(1, section, ["@counter@a"], at=EPOCH)


def granted(section: str = "s") -> Any:
    return events.entity_lock_granted(section, at=EPOCH)


def left(section: str = "s") -> Any:
    return events.entity_unlock_sent(2, section, "@counter@a", at=EPOCH)


def tried(id: int = 1) -> Any:
    return events.task_failed(id, failure(), at=EPOCH)


BEGINNING = [turn(), started()]
AGAIN = [turn(1), rewound()]

RIGHT: dict[str, History] = {
    "none yet": [],
    "just begun": BEGINNING,
    "without work": [*BEGINNING, completed()],
    "an activity": [*BEGINNING, asked(), turn(1), answered(), completed()],
    "a retry under the same number": [
        *(*BEGINNING, asked(), turn(1), tried()),
        *(asked(), turn(2), answered(), completed()),
    ],
    "an activity, a timer and a child of one number": [
        *(*BEGINNING, asked(), timer(), child()),
        *(turn(1), fired(), reported(), answered()),
    ],
    "a promise that nobody waits for": [*BEGINNING, asked(), completed()],
    "children that nobody waits for": [
        *BEGINNING,
        child(tags={"FireAndForget": ""}),
        child(tags={"FireAndForget": ""}),
    ],
    "an entity": [*BEGINNING, called(), turn(1), replied(), completed()],
    "a critical section, entered twice": [
        *(*BEGINNING, wanted(), turn(1), granted(), left()),
        *(wanted(), turn(2), granted(), left(), completed()),
    ],
    "terminated before it began": [terminated(), completed(Status.TERMINATED)],
    "terminated": [*BEGINNING, asked(), terminated(), completed(Status.TERMINATED)],
    "rewound, and no worker could": [
        *(*BEGINNING, completed(Status.FAILED)),
        *(*AGAIN, completed(Status.FAILED)),
    ],
    "terminated while it was rewound": [
        *(*BEGINNING, completed(Status.FAILED)),
        *(terminated(), completed(Status.TERMINATED)),
    ],
    "rewound by a worker that left out a question": [*BEGINNING, answered(), *AGAIN],
}

WRONG: dict[str, tuple[str, History]] = {
    "no turn": ("begins", [started()]),
    "no start": ("begins", [turn(), asked()]),
    "a turn and nothing else": ("begins", [turn()]),
    "something before the start": ("begins", [turn(), asked(), started()]),
    "two starts": ("starts-once", [*BEGINNING, started()]),
    "two ends": ("ends-once", [*BEGINNING, completed(), completed()]),
    "more after the end": ("ends-once", [*BEGINNING, asked(), completed(), answered()]),
    "rewound after success": ("ends-once", [*BEGINNING, completed(), *AGAIN]),
    "work after a failure": ("ends-once", [*BEGINNING, completed(Status.FAILED), asked()]),
    "time that runs backwards": ("keeps-time", [turn(2), started(), turn(1)]),
    "an activity that was not asked for": ("answered-once", [*BEGINNING, answered()]),
    "an answer before its question": ("answered-once", [*BEGINNING, answered(), asked()]),
    "an activity that ended twice": (
        "answered-once",
        [*BEGINNING, asked(), answered(), answered()],
    ),
    "an activity that failed and ended well": (
        "answered-once",
        [*BEGINNING, asked(), tried(), answered()],
    ),
    "the answer to another question": ("answered-once", [*BEGINNING, asked(1), answered(2)]),
    "a timer that fired twice": ("answered-once", [*BEGINNING, timer(), fired(), fired()]),
    "a timer that nobody set": ("answered-once", [*BEGINNING, asked(), fired()]),
    "a child that reported twice": ("answered-once", [*BEGINNING, child(), reported(), reported()]),
    "a child that should not report": (
        "answered-once",
        [*BEGINNING, child(tags={"FireAndForget": ""}), reported()],
    ),
    "an entity that answered twice": (
        "answered-once",
        [*BEGINNING, called(), replied(), replied()],
    ),
    "a lock granted twice": ("answered-once", [*BEGINNING, wanted(), granted(), granted()]),
    "an activity that is asked for twice at once": ("asked-once", [*BEGINNING, asked(), asked()]),
    "a timer set twice at once": ("asked-once", [*BEGINNING, timer(), timer()]),
    "a child started twice at once": ("asked-once", [*BEGINNING, child(), child()]),
    "an entity called twice at once": ("asked-once", [*BEGINNING, called(), called()]),
    "a lock requested twice at once": ("asked-once", [*BEGINNING, wanted(), wanted()]),
}


def rules(findings: Sequence[Finding]) -> set[str]:
    return {finding.rule for finding in findings}


@pytest.mark.parametrize("history", RIGHT.values(), ids=RIGHT)
def test_a_right_history_is_right(history: History) -> None:
    assert list(histories.findings(history)) == []


@pytest.mark.parametrize(("rule", "history"), WRONG.values(), ids=WRONG)
def test_a_wrong_history_is_found_out(rule: str, history: History) -> None:
    assert rules(list(histories.findings(history))) == {rule}


def test_the_tag_of_these_tests_is_the_one_that_the_engine_goes_by() -> None:
    assert pending.is_fire_and_forget({"FireAndForget": ""})


def stored(*history: Any) -> bytes:
    return repeated_field(codec.encode(event) for event in history)


def test_pieces_are_put_together() -> None:
    first, second = histories.Piece(0, stored(*BEGINNING)), histories.Piece(2, stored(asked()))

    assert histories.decode([first, second]) == ([*BEGINNING, asked()], [])


@pytest.mark.parametrize("place", [1, 3], ids=["overlapping", "missing"])
def test_a_piece_in_the_wrong_place_is_found_out(place: int) -> None:
    decoded = histories.decode(
        [histories.Piece(0, stored(*BEGINNING)), histories.Piece(place, stored(asked()))]
    )

    assert rules(decoded.findings) == {"gapless"}


def test_a_piece_that_is_cut_off_is_found_out_and_the_others_are_read() -> None:
    decoded = histories.decode(
        [histories.Piece(0, stored(*BEGINNING)), histories.Piece(2, stored(asked())[:-1])]
    )

    assert rules(decoded.findings) == {"decodes"}
    assert decoded.events == BEGINNING


def test_an_event_of_no_kind_is_found_out() -> None:
    decoded = histories.decode([histories.Piece(0, stored(messages.HistoryEvent(event_id=3)))])

    assert rules(decoded.findings) == {"known"}
