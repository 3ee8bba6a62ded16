"""The calls of one batch stream: what is sent when, and who is told what."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from durabletask.protocol import batch_stream, codec, messages, methods
from durabletask.transport.multiplexer import CallFailure, Multiplexer

BROKEN = CallFailure("UNAVAILABLE", "Socket closed")


class Heard:
    """Remembers all that the waiting side of a call was told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def received(self, responses: list[bytes]) -> None:
        self.told.append(responses)

    def ended(self, failure: CallFailure | None) -> None:
        self.told.append(("ended", failure))

    @property
    def ends(self) -> list[CallFailure | None]:
        return [each[1] for each in self.told if isinstance(each, tuple)]


def begin(calls: Multiplexer, payload: bytes = b"request", **more: Any) -> tuple[int, Heard]:
    heard = Heard()
    return calls.open(methods.RAISE_EVENT, payload, heard, **more), heard


def fits(calls: Multiplexer, size: int, metadata: Any = ()) -> bool:
    return calls.fits(methods.RAISE_EVENT, bytes(size), metadata)


def sent(calls: Multiplexer) -> messages.CallBatch:
    return codec.decode(messages.CallBatch, calls.next_batch())


def replies(*given: messages.Reply) -> bytes:
    return codec.encode(messages.ReplyBatch(replies=list(given)))


def test_all_calls_that_wait_are_sent_in_one_batch_in_their_order() -> None:
    calls = Multiplexer()
    first, _ = begin(calls, b"one")
    second, _ = begin(calls, b"two")

    batch = sent(calls)

    assert [(each.id, each.method, each.request) for each in batch.calls] == [
        (first, "RaiseEvent", b"one"),
        (second, "RaiseEvent", b"two"),
    ]
    assert not calls.has_more_to_send


def test_a_reply_goes_to_the_call_with_its_id_whatever_their_order() -> None:
    calls = Multiplexer()
    (first, one), (second, two) = begin(calls), begin(calls)
    calls.next_batch()

    calls.receive(
        replies(
            messages.Reply(id=second, responses=[b"2"]), messages.Reply(id=first, responses=[b"1"])
        )
    )

    assert one.told == [[b"1"], ("ended", None)]
    assert two.told == [[b"2"], ("ended", None)]


def test_a_refusal_is_told_with_its_status_and_details() -> None:
    calls = Multiplexer()
    id, heard = begin(calls)
    calls.next_batch()

    calls.receive(replies(messages.Reply(id=id, status="NOT_FOUND", details="no such instance")))

    assert heard.told == [("ended", CallFailure("NOT_FOUND", "no such instance"))]


def test_a_call_with_many_responses_goes_on_until_its_last_reply() -> None:
    calls = Multiplexer()
    id, heard = begin(calls)
    calls.next_batch()

    calls.receive(replies(messages.Reply(id=id, is_more_to_come=True)))
    calls.receive(replies(messages.Reply(id=id, responses=[b"1", b"2"], is_more_to_come=True)))
    calls.receive(replies(messages.Reply(id=id)))

    assert heard.told == [[], [b"1", b"2"], ("ended", None)]


def test_what_is_cancelled_before_it_was_sent_never_reaches_the_sidecar() -> None:
    calls = Multiplexer()
    id, _ = begin(calls)

    calls.cancel(id)

    assert calls.next_batch() == b""


def test_what_is_cancelled_after_it_was_sent_is_cancelled_there() -> None:
    calls = Multiplexer()
    id, heard = begin(calls)
    calls.next_batch()

    calls.cancel(id)
    calls.receive(replies(messages.Reply(id=id, responses=[b"late"])))

    assert sent(calls).cancelled == [id]
    assert heard.told == []


def test_a_call_that_has_ended_is_not_cancelled_any_more() -> None:
    calls = Multiplexer()
    id, _ = begin(calls)
    calls.next_batch()
    calls.receive(replies(messages.Reply(id=id, responses=[b"1"])))

    calls.cancel(id)

    assert not calls.has_more_to_send


def test_when_the_stream_ends_only_what_was_never_given_out_counts_as_not_sent() -> None:
    calls = Multiplexer()
    _, on_its_way = begin(calls)
    calls.next_batch()
    _, kept = begin(calls)

    calls.end(BROKEN)

    assert on_its_way.ends == [BROKEN]
    assert kept.ends == [BROKEN._replace(was_sent=False)]


def test_metadata_of_a_call_arrives_as_it_was_given() -> None:
    calls = Multiplexer()
    given: Any = (("x-text", "größe"), ("x-bytes-bin", b"\xff"))
    begin(calls, metadata=given)

    batch = sent(calls)

    assert batch_stream.from_entries(batch.calls[0].metadata) == dict(given)


@pytest.mark.parametrize("extra", [0, 1])
@pytest.mark.parametrize("metadata", [(), (("x-trace", "7" * 2000), ("x-bytes-bin", b"1"))])
def test_a_call_fits_if_its_batch_is_no_larger_than_a_message_may_be(
    metadata: Any, extra: int
) -> None:
    limit = 10_000
    calls = Multiplexer(limit)
    largest = max(size for size in range(limit) if fits(calls, size, metadata))

    begin(calls, bytes(largest), metadata=metadata)

    assert len(calls.next_batch()) <= limit
    assert fits(calls, largest + extra, metadata) is (extra == 0)


@given(
    st.lists(st.integers(0, 3000), max_size=40),
    st.integers(1000, 5000),
)
def test_no_batch_is_larger_than_a_message_may_be_and_none_is_lost(
    sizes: list[int], limit: int
) -> None:
    calls = Multiplexer(limit)
    sizes = [size for size in sizes if fits(calls, size)]
    for size in sizes:
        begin(calls, bytes(size))

    batches = []
    while calls.has_more_to_send:
        batches.append(calls.next_batch())

    assert all(len(batch) <= limit for batch in batches)
    arrived = [call for raw in batches for call in codec.decode(messages.CallBatch, raw).calls]
    assert [len(call.request) for call in arrived] == sizes


class AnyExchange(RuleBasedStateMachine):
    """Calls, cancellations, replies and the end of the stream, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self._begin_anew()

    def _begin_anew(self) -> None:
        self.calls = Multiplexer()
        self.heard: dict[int, Heard] = {}
        self.cancelled: set[int] = set()
        self.running: list[int] = []
        """The calls that have arrived at the sidecar and are not answered."""

    @rule()
    def open(self) -> None:
        id, heard = begin(self.calls)
        self.heard[id] = heard

    @rule()
    def send(self) -> None:
        batch = sent(self.calls)
        self.running += [call.id for call in batch.calls]
        self.running = [id for id in self.running if id not in batch.cancelled]

    @precondition(lambda self: self.heard)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        id = data.draw(st.sampled_from(sorted(self.heard)))
        if not self.heard[id].ends:
            self.cancelled.add(id)
        self.calls.cancel(id)

    @precondition(lambda self: self.running)
    @rule(data=st.data(), status=st.sampled_from(["", "NOT_FOUND"]), is_more=st.booleans())
    def reply(self, data: st.DataObject, status: str, *, is_more: bool) -> None:
        id = data.draw(st.sampled_from(self.running))
        if not is_more:
            self.running.remove(id)
        responses = [] if status else [b"response"]
        reply = messages.Reply(id=id, responses=responses, status=status, is_more_to_come=is_more)
        self.calls.receive(replies(reply))

    @rule()
    def break_stream(self) -> None:
        self.calls.end(BROKEN)
        self._check_that_each_has_ended_once()
        self._begin_anew()

    def teardown(self) -> None:
        while self.calls.has_more_to_send:
            self.send()
        for id in self.running:
            self.calls.receive(replies(messages.Reply(id=id, responses=[b"response"])))
        self._check_that_each_has_ended_once()

    def _check_that_each_has_ended_once(self) -> None:
        expected = {id: 0 if id in self.cancelled else 1 for id in self.heard}
        assert self._ends() == expected
        # None is left that could be told again.
        self.calls.end(BROKEN)
        assert self._ends() == expected

    def _ends(self) -> dict[int, int]:
        return {id: len(heard.ends) for id, heard in self.heard.items()}


AnyExchange.TestCase.settings = settings(max_examples=50, stateful_step_count=30)
TestEachCallEndsOnceUnlessItWasCancelled = AnyExchange.TestCase
