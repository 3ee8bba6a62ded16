from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from durabletask.protocol import messages, wire, work_items
from durabletask.worker._sessions import Session, SessionCache
from tests.builders.worker import events, orchestrator_item

if TYPE_CHECKING:
    from durabletask.protocol.work_items import Peek

A, B, C = (events.event_raised(name, None) for name in "abc")


class Machine:
    """Stands in for an orchestration's machine: counts what it was given."""

    def __init__(self, applied: int, decided: int = 0) -> None:
        self.applied = applied
        self.expected = applied + decided
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True


def peek(
    past: list[messages.HistoryEvent],
    new: list[messages.HistoryEvent],
    *,
    instance: str = "one",
    execution: str = "first",
    left_out: int | None = None,
) -> Peek:
    return work_items.peek(
        orchestrator_item(new, past=past, instance=instance, execution=execution, left_out=left_out)
    )


def session(
    past: list[messages.HistoryEvent],
    new: list[messages.HistoryEvent],
    *,
    instance: str = "one",
    decided: int = 0,
) -> Session:
    """The session that has taken that turn, and decided so many actions."""
    machine = cast("Any", Machine(len(past) + len(new), decided))
    made = Session(instance, "first", machine)
    made.remember_batch(peek(past, new, instance=instance))
    return made


def sessions(limit: int = 10, max_bytes: int = 1_000_000) -> SessionCache:
    return SessionCache(limit=limit, max_bytes=max_bytes)


def is_closed(session: Session) -> bool:
    return cast("Machine", session.machine).is_closed


@pytest.mark.parametrize("confirmations", [[], [C], [C, A]])
def test_a_session_continues_a_history_that_begins_with_what_it_processed(
    confirmations: list[messages.HistoryEvent],
) -> None:
    kept, warm = sessions(), session([A], [B])
    kept.check_in(warm)

    assert kept.check_out(peek([A, B, *confirmations], [C])) is warm


@pytest.mark.parametrize(
    ("past", "execution"),
    [
        ([A, B], "second"),
        ([A], "first"),
        ([A, C], "first"),
        ([], "first"),
        ([A, C, B], "first"),
    ],
    ids=["other execution", "turn not committed", "other batch committed", "begun anew", "moved"],
)
def test_a_session_that_processed_anything_else_is_closed_and_not_used(
    past: list[messages.HistoryEvent], execution: str
) -> None:
    kept, stale = sessions(), session([A], [B])
    kept.check_in(stale)

    assert kept.check_out(peek(past, [C], execution=execution)) is None
    assert is_closed(stale)


@pytest.mark.parametrize("decided", [0, 3])
def test_a_session_continues_without_history_if_only_its_decisions_were_added(
    decided: int,
) -> None:
    kept, warm = sessions(), session([A], [B], decided=decided)
    kept.check_in(warm)

    assert kept.check_out(peek([], [C], left_out=2 + decided)) is warm


@pytest.mark.parametrize(
    ("left_out", "execution"),
    [(2, "first"), (4, "first"), (0, "first"), (3, "second")],
    ids=["turn not committed", "taken by another too", "unknown", "other execution"],
)
def test_a_session_does_not_continue_without_history_if_that_may_differ(
    left_out: int, execution: str
) -> None:
    kept, stale = sessions(), session([A], [B], decided=1)
    kept.check_in(stale)

    assert kept.check_out(peek([], [C], left_out=left_out, execution=execution)) is None
    assert is_closed(stale)


def test_the_whole_batch_is_compared_and_not_its_last_event_only() -> None:
    """Another worker took the turn: the same answer arrived, at another time of the clock."""
    kept, stale = sessions(), session([A], [B, C])
    kept.check_in(stale)

    assert kept.check_out(peek([A, A, C], [B])) is None


@pytest.mark.parametrize("length", [10, 100_000])
def test_a_batch_of_any_length_is_compared_to_its_last_byte(length: int) -> None:
    given, other = (events.event_raised("e", "x" * length + end) for end in "ab")
    kept, stale = sessions(), session([A], [B, given])
    kept.check_in(stale)

    assert kept.check_out(peek([A, B, given], [C])) is stale

    kept.check_in(stale)

    assert kept.check_out(peek([A, B, other], [C])) is None


def test_a_session_that_is_checked_out_is_not_found_again() -> None:
    kept = sessions()
    kept.check_in(session([], [A]))

    kept.check_out(peek([A], [B]))

    assert kept.check_out(peek([A], [B])) is None


def test_of_two_sessions_of_an_instance_the_later_one_is_kept() -> None:
    kept, first, second = sessions(), session([], [A]), session([], [A])
    kept.check_in(first)

    kept.check_in(second)

    assert is_closed(first)
    assert kept.check_out(peek([A], [B])) is second


def test_the_session_used_longest_ago_is_evicted_first() -> None:
    kept = sessions(limit=2)
    one, two, three = (session([], [A], instance=name) for name in ("one", "two", "three"))
    kept.check_in(one)
    kept.check_in(two)
    kept.check_in(cast("Session", kept.check_out(peek([A], [B], instance="one"))))

    kept.check_in(three)

    assert [is_closed(each) for each in (one, two, three)] == [False, True, False]


def test_sessions_that_take_too_many_bytes_are_evicted() -> None:
    heavy = events.event_raised("e", "x" * 10_000)
    one, two = session([], [heavy], instance="one"), session([], [heavy], instance="two")
    kept = sessions(max_bytes=one.size + two.size - 1)

    kept.check_in(one)
    kept.check_in(two)

    assert [is_closed(each) for each in (one, two)] == [True, False]


def test_the_size_of_a_session_grows_with_its_events() -> None:
    light, heavy = session([], [A]), session([], [events.event_raised("e", "x" * 10_000)])

    assert heavy.size > light.size + 9_000


def test_batches_with_the_same_bytes_but_other_boundaries_differ() -> None:
    def turn(*new: bytes, past: tuple[bytes, ...] = ()) -> Peek:
        fields = [wire.length_delimited(3, each) for each in past]
        fields += [wire.length_delimited(4, each) for each in new]
        return work_items.peek(wire.length_delimited(1, b"".join(fields)))

    seen = Session("", "", cast("Any", Machine(applied=2)))
    seen.remember_batch(turn(b"ab", b"c"))

    assert seen.continues(turn(past=(b"ab", b"c")))
    assert not seen.continues(turn(past=(b"a", b"bc")))


def test_the_room_of_an_evicted_session_can_be_used_again() -> None:
    one = session([], [A])
    kept = sessions(max_bytes=one.size)

    for _ in range(3):
        kept.check_in(one)
        assert kept.check_out(peek([A], [B])) is one


def test_a_limit_of_zero_keeps_nothing() -> None:
    kept, only = sessions(limit=0), session([], [A])

    kept.check_in(only)

    assert len(kept) == 0
    assert is_closed(only)


def test_an_evicted_session_is_not_used_and_closed_by_close_evicted() -> None:
    kept, one, two = sessions(), session([], [A]), session([], [A], instance="two")
    kept.check_in(one)
    kept.check_in(two)

    kept.evict("one")

    assert kept.check_out(peek([A], [B])) is None
    assert [is_closed(one), is_closed(two)] == [False, False]
    kept.close_evicted()
    assert [is_closed(one), is_closed(two)] == [True, False]


def test_all_sessions_can_be_evicted() -> None:
    kept, one, two = sessions(), session([], [A]), session([], [A], instance="two")
    kept.check_in(one)
    kept.check_in(two)

    kept.evict_all()
    kept.close_evicted()

    assert len(kept) == 0
    assert [is_closed(one), is_closed(two)] == [True, True]
