from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durabletask.worker._connection import Connection, Link, Seen

connections = st.builds(
    Connection,
    link=st.sampled_from(Link),
    failures=st.integers(0, 5000),
    redial_at_once=st.booleans(),
)
reports = st.sampled_from(Seen)

# The docstring's picture, written once more: what leads from where to where.
PICTURE = {
    (Link.OFFLINE, Seen.DIAL): Link.DIALING,
    (Link.DIALING, Seen.READY): Link.STREAMING,
    (Link.DIALING, Seen.LOST): Link.OFFLINE,
    (Link.DIALING, Seen.UNHEARD): Link.OFFLINE,
    (Link.STREAMING, Seen.LOST): Link.OFFLINE,
    (Link.STREAMING, Seen.SILENT): Link.OFFLINE,
    (Link.STREAMING, Seen.GOODBYE): Link.OFFLINE,
    (Link.OFFLINE, Seen.STOP): Link.DRAINING,
    (Link.DIALING, Seen.STOP): Link.DRAINING,
    (Link.STREAMING, Seen.STOP): Link.DRAINING,
    (Link.DRAINING, Seen.DRAINED): Link.OFFLINE,
}


@pytest.mark.parametrize(("link", "seen"), list(itertools.product(Link, Seen)))
def test_every_state_has_an_answer_to_every_report(link: Link, seen: Seen) -> None:
    after = Connection(link).after(seen)

    assert after.link is PICTURE.get((link, seen), link)


@pytest.mark.parametrize("loss", [Seen.LOST, Seen.SILENT, Seen.GOODBYE])
def test_every_loss_of_a_stream_leads_to_the_next_dial(loss: Seen) -> None:
    lost = Connection(Link.STREAMING).after(loss)

    assert lost.after(Seen.DIAL).link is Link.DIALING


@given(st.lists(reports.filter(lambda seen: seen is not Seen.STOP)))
def test_a_worker_that_nobody_stops_is_never_deaf_for_good(seen: list[Seen]) -> None:
    connection = Connection()
    for each in seen:
        connection = connection.after(each)

    redialed = connection.after(Seen.LOST).after(Seen.DIAL).after(Seen.READY)

    assert redialed.link is Link.STREAMING


@given(st.lists(reports.filter(lambda seen: seen is not Seen.DRAINED)))
def test_a_draining_worker_dials_no_more(seen: list[Seen]) -> None:
    connection = Connection().after(Seen.STOP)

    for each in seen:
        connection = connection.after(each)

    assert connection.link is Link.DRAINING


@given(connections, st.floats(0, 1, exclude_max=True))
def test_the_wait_never_exceeds_its_cap(connection: Connection, jitter: float) -> None:
    assert 0 <= connection.delay(jitter=jitter, base=1, cap=30) <= 30


@pytest.mark.parametrize(
    ("link", "loss", "is_dead"),
    [
        (Link.STREAMING, Seen.SILENT, True),
        (Link.DIALING, Seen.UNHEARD, True),
        (Link.STREAMING, Seen.LOST, False),
        (Link.DIALING, Seen.LOST, False),
        (Link.STREAMING, Seen.GOODBYE, False),
    ],
)
def test_a_channel_is_dead_when_it_keeps_still_and_not_when_it_fails(
    link: Link, loss: Seen, *, is_dead: bool
) -> None:
    dialing = Connection(link, is_channel_dead=not is_dead).after(loss).after(Seen.DIAL)

    assert dialing.is_channel_dead is is_dead


@given(connections, st.sampled_from([Seen.LOST, Seen.SILENT, Seen.GOODBYE]))
def test_failure_upon_failure_makes_the_wait_no_shorter(connection: Connection, loss: Seen) -> None:
    def failed(before: Connection) -> Connection:
        return Connection(Link.STREAMING, before.failures, before.redial_at_once).after(loss)

    once, twice = failed(connection), failed(failed(connection))

    assert once.delay(jitter=0.5, base=1, cap=30) <= twice.delay(jitter=0.5, base=1, cap=30)


def test_the_first_dial_waits_for_nothing() -> None:
    assert Connection().delay(jitter=0.9, base=1, cap=30) == 0


def test_the_wait_doubles_with_each_failure_and_is_a_draw_from_all_of_it() -> None:
    connection = Connection()
    waits = []
    for _ in range(7):
        connection = connection.after(Seen.DIAL).after(Seen.LOST)
        waits.append(connection.delay(jitter=0.5, base=1, cap=30))

    assert waits == [0.5, 1, 2, 4, 8, 15, 15]


def test_a_server_that_says_goodbye_is_dialed_at_once() -> None:
    streaming = Connection().after(Seen.DIAL).after(Seen.READY)

    assert streaming.after(Seen.GOODBYE).delay(jitter=0.9, base=1, cap=30) == 0


def test_a_server_that_only_says_goodbye_is_not_dialed_in_a_tight_loop() -> None:
    connection = Connection()
    for _ in range(2):
        connection = connection.after(Seen.DIAL).after(Seen.READY).after(Seen.GOODBYE)

    assert connection.delay(jitter=0.9, base=1, cap=30) > 0


def test_a_stream_that_lasts_makes_good_for_the_failures_before_it() -> None:
    failed = Connection(Link.OFFLINE, failures=9, redial_at_once=False)

    settled = failed.after(Seen.DIAL).after(Seen.READY).after(Seen.SETTLED)

    assert settled.after(Seen.GOODBYE).delay(jitter=0.9, base=1, cap=30) == 0


def test_a_stream_that_does_not_last_makes_good_for_nothing() -> None:
    failed = Connection(Link.OFFLINE, failures=3, redial_at_once=False)

    again = failed.after(Seen.DIAL).after(Seen.READY).after(Seen.LOST)

    assert again.failures == 4
