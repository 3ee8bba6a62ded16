from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durabletask.worker._connection import Connection, ConnectionEvent, ConnectionState

connections = st.builds(
    Connection,
    state=st.sampled_from(ConnectionState),
    failures=st.integers(0, 5000),
    reconnect_at_once=st.booleans(),
)
events = st.sampled_from(ConnectionEvent)

# The docstring's picture, written once more: what leads from where to where.
PICTURE = {
    (ConnectionState.DISCONNECTED, ConnectionEvent.CONNECT): ConnectionState.CONNECTING,
    (ConnectionState.CONNECTING, ConnectionEvent.STREAM_OPENED): ConnectionState.STREAMING,
    (ConnectionState.CONNECTING, ConnectionEvent.FAILED): ConnectionState.DISCONNECTED,
    (ConnectionState.CONNECTING, ConnectionEvent.HELLO_TIMED_OUT): ConnectionState.DISCONNECTED,
    (ConnectionState.STREAMING, ConnectionEvent.FAILED): ConnectionState.DISCONNECTED,
    (ConnectionState.STREAMING, ConnectionEvent.STREAM_IDLE): ConnectionState.DISCONNECTED,
    (ConnectionState.STREAMING, ConnectionEvent.STREAM_ENDED): ConnectionState.DISCONNECTED,
    (ConnectionState.DISCONNECTED, ConnectionEvent.STOP): ConnectionState.DRAINING,
    (ConnectionState.CONNECTING, ConnectionEvent.STOP): ConnectionState.DRAINING,
    (ConnectionState.STREAMING, ConnectionEvent.STOP): ConnectionState.DRAINING,
    (ConnectionState.DRAINING, ConnectionEvent.DRAINED): ConnectionState.DISCONNECTED,
}


@pytest.mark.parametrize(
    ("state", "event"), list(itertools.product(ConnectionState, ConnectionEvent))
)
def test_every_event_in_every_state_leads_where_the_picture_says(
    state: ConnectionState, event: ConnectionEvent
) -> None:
    after = Connection(state).after(event)

    assert after.state is PICTURE.get((state, event), state)


@pytest.mark.parametrize(
    "loss", [ConnectionEvent.FAILED, ConnectionEvent.STREAM_IDLE, ConnectionEvent.STREAM_ENDED]
)
def test_however_a_stream_ends_the_worker_connects_again(loss: ConnectionEvent) -> None:
    lost = Connection(ConnectionState.STREAMING).after(loss)

    assert lost.after(ConnectionEvent.CONNECT).state is ConnectionState.CONNECTING


@given(st.lists(events.filter(lambda event: event is not ConnectionEvent.STOP)))
def test_after_any_events_but_a_stop_the_worker_can_connect_again(
    seen: list[ConnectionEvent],
) -> None:
    connection = Connection()
    for each in seen:
        connection = connection.after(each)

    reconnected = (
        connection.after(ConnectionEvent.FAILED)
        .after(ConnectionEvent.CONNECT)
        .after(ConnectionEvent.STREAM_OPENED)
    )

    assert reconnected.state is ConnectionState.STREAMING


@given(st.lists(events.filter(lambda event: event is not ConnectionEvent.DRAINED)))
def test_a_draining_worker_does_not_connect_again(seen: list[ConnectionEvent]) -> None:
    connection = Connection().after(ConnectionEvent.STOP)

    for each in seen:
        connection = connection.after(each)

    assert connection.state is ConnectionState.DRAINING


@given(connections, st.floats(0, 1, exclude_max=True))
def test_the_delay_never_exceeds_its_cap(connection: Connection, jitter: float) -> None:
    assert 0 <= connection.delay(jitter=jitter, base=1, cap=30) <= 30


@pytest.mark.parametrize(
    ("state", "loss", "is_dead"),
    [
        (ConnectionState.STREAMING, ConnectionEvent.STREAM_IDLE, True),
        (ConnectionState.CONNECTING, ConnectionEvent.HELLO_TIMED_OUT, True),
        (ConnectionState.STREAMING, ConnectionEvent.FAILED, False),
        (ConnectionState.CONNECTING, ConnectionEvent.FAILED, False),
        (ConnectionState.STREAMING, ConnectionEvent.STREAM_ENDED, False),
    ],
)
def test_a_channel_is_dead_when_it_goes_silent_and_not_when_it_fails(
    state: ConnectionState, loss: ConnectionEvent, *, is_dead: bool
) -> None:
    connecting = (
        Connection(state, is_channel_dead=not is_dead).after(loss).after(ConnectionEvent.CONNECT)
    )

    assert connecting.is_channel_dead is is_dead


@given(
    connections,
    st.sampled_from(
        [ConnectionEvent.FAILED, ConnectionEvent.STREAM_IDLE, ConnectionEvent.STREAM_ENDED]
    ),
)
def test_another_failure_never_shortens_the_delay(
    connection: Connection, loss: ConnectionEvent
) -> None:
    def failed(before: Connection) -> Connection:
        return Connection(
            ConnectionState.STREAMING, before.failures, before.reconnect_at_once
        ).after(loss)

    once, twice = failed(connection), failed(failed(connection))

    assert once.delay(jitter=0.5, base=1, cap=30) <= twice.delay(jitter=0.5, base=1, cap=30)


def test_the_first_attempt_is_not_delayed() -> None:
    assert Connection().delay(jitter=0.9, base=1, cap=30) == 0


def test_after_n_failures_the_delay_is_a_draw_from_base_times_2_to_the_n() -> None:
    connection = Connection()
    waits = []
    for _ in range(7):
        connection = connection.after(ConnectionEvent.CONNECT).after(ConnectionEvent.FAILED)
        waits.append(connection.delay(jitter=0.5, base=1, cap=30))

    assert waits == [1, 2, 4, 8, 15, 15, 15]


def test_a_stream_that_the_server_ends_is_opened_again_at_once() -> None:
    streaming = Connection().after(ConnectionEvent.CONNECT).after(ConnectionEvent.STREAM_OPENED)

    assert streaming.after(ConnectionEvent.STREAM_ENDED).delay(jitter=0.9, base=1, cap=30) == 0


def test_a_server_that_ends_every_stream_is_not_called_in_a_tight_loop() -> None:
    connection = Connection()
    for _ in range(2):
        connection = (
            connection.after(ConnectionEvent.CONNECT)
            .after(ConnectionEvent.STREAM_OPENED)
            .after(ConnectionEvent.STREAM_ENDED)
        )

    assert connection.delay(jitter=0.9, base=1, cap=30) > 0


def test_a_stable_stream_resets_the_failures_before_it() -> None:
    failed = Connection(ConnectionState.DISCONNECTED, failures=9, reconnect_at_once=False)

    settled = (
        failed.after(ConnectionEvent.CONNECT)
        .after(ConnectionEvent.STREAM_OPENED)
        .after(ConnectionEvent.STREAM_STABLE)
    )

    assert settled.after(ConnectionEvent.STREAM_ENDED).delay(jitter=0.9, base=1, cap=30) == 0


def test_a_stream_that_fails_at_once_resets_no_failures() -> None:
    failed = Connection(ConnectionState.DISCONNECTED, failures=3, reconnect_at_once=False)

    again = (
        failed.after(ConnectionEvent.CONNECT)
        .after(ConnectionEvent.STREAM_OPENED)
        .after(ConnectionEvent.FAILED)
    )

    assert again.failures == 4
