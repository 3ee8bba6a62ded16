"""Peeking, and decoding what a peek has found, agree with decoding everything."""

from __future__ import annotations

import random
from typing import Any

import pytest

from durabletask.protocol import codec, events, messages, oneofs, work_items
from durabletask.protocol.dialects import DAPR, NATIVE, TASKHUB, Dialect
from tests.builders.protocol import RandomMessages

each_dialect = pytest.mark.parametrize("dialect", [NATIVE, TASKHUB, DAPR], ids=repr)


def turn(past: int, new: int = 1) -> Any:
    history = [events.task_completed(number, f'"{number}"') for number in range(past + new)]
    return messages.WorkItem(
        orchestrator_request=messages.OrchestratorRequest(
            instance_id="order-1",
            execution_id="run-1",
            past_events=history[:past],
            new_events=history[past:],
        ),
        completion_token="token-1",
    )


def drawn(dialect: Dialect, count: int) -> list[Any]:
    make = RandomMessages(random.Random(f"work items {dialect}"), dialect).make
    return [make(messages.WorkItem, depth=4) for _ in range(count)]


def owner(item: Any) -> tuple[str, str | None]:
    """The instance and the run that a decoded work item is for."""
    request = getattr(item, oneofs.which(item) or "completion_token")
    if isinstance(request, messages.ActivityRequest):
        request = request.orchestration_instance
    return getattr(request, "instance_id", ""), getattr(request, "execution_id", "")


@each_dialect
def test_a_peek_says_what_the_decoded_item_says(dialect: Dialect) -> None:
    for item in drawn(dialect, 300):
        raw = codec.encode(item, dialect)

        peek = work_items.peek(raw)

        instance_id, execution_id = owner(item)
        assert peek.kind == oneofs.which(item)
        assert peek.completion_token == item.completion_token
        assert peek.instance_id == instance_id
        assert peek.execution_id == (execution_id or "")


@each_dialect
def test_a_peek_finds_every_event_as_it_was_encoded(dialect: Dialect) -> None:
    for item in drawn(dialect, 300):
        peek = work_items.peek(codec.encode(item, dialect))

        request = item.orchestrator_request or messages.OrchestratorRequest()
        for spans, decoded in [
            (peek.past_events, request.past_events),
            (peek.new_events, request.new_events),
        ]:
            found = [spans.event_bytes(index) for index in range(len(spans))]
            assert found == [codec.encode(event, dialect) for event in decoded]


@each_dialect
@pytest.mark.parametrize("skipped", [0, 1, 2, 50, 300])
def test_skipping_leaves_what_full_decoding_has_at_its_end(dialect: Dialect, skipped: int) -> None:
    raw = codec.encode(turn(past=300), dialect)
    full = codec.decode(messages.WorkItem, raw, dialect).orchestrator_request
    assert full is not None

    peek = work_items.peek(raw)

    assert peek.past_events.decode(dialect, skip=skipped) == full.past_events[skipped:]
    assert peek.new_events.decode(dialect) == full.new_events


@each_dialect
def test_the_request_is_found_where_full_decoding_finds_it(dialect: Dialect) -> None:
    for item in drawn(dialect, 300):
        kind = oneofs.which(item)
        if not kind:
            continue
        raw = codec.encode(item, dialect)
        request = getattr(codec.decode(messages.WorkItem, raw, dialect), kind)

        found = work_items.decode_request(
            type(request), raw, work_items.peek(raw, dialect).request, dialect
        )

        assert found == request


@each_dialect
def test_nothing_is_left_out_of_a_turn_that_does_not_say_so(dialect: Dialect) -> None:
    peeks = [work_items.peek(codec.encode(item, dialect)) for item in drawn(dialect, 300)]

    assert {peek.left_out for peek in peeks} == {None}


@pytest.mark.parametrize(
    ("past", "properties", "left_out"),
    [
        (0, {}, None),
        (0, {"HistoryLength": "12"}, None),
        (0, {"IncludeState": "true", "HistoryLength": "12"}, None),
        (2, {"IncludeState": "false", "HistoryLength": "12"}, None),
        (0, {"IncludeState": "false", "HistoryLength": "12"}, 12),
        (0, {"Other": '{"IncludeState": true}', "IncludeState": "false", "HistoryLength": "1"}, 1),
        (0, {"IncludeState": "false"}, 0),
        (0, {"IncludeState": "false", "HistoryLength": "1.5"}, 0),
        (0, {"IncludeState": "false", "HistoryLength": "true"}, 0),
        (0, {"IncludeState": "false", "HistoryLength": '"12"'}, 0),
        (0, {"IncludeState": "null"}, None),
    ],
)
def test_a_turn_says_how_many_past_events_it_leaves_out(
    past: int, properties: dict[str, str], left_out: int | None
) -> None:
    item = turn(past=past)
    item.orchestrator_request.properties = properties

    for dialect in (NATIVE, TASKHUB):
        assert work_items.peek(codec.encode(item, dialect)).left_out == left_out


def test_a_request_in_pieces_is_read_as_one() -> None:
    whole = turn(past=3)
    raw = codec.encode(turn(past=1, new=0)) + codec.encode(
        messages.WorkItem(
            orchestrator_request=messages.OrchestratorRequest(
                past_events=whole.orchestrator_request.past_events[1:],
                new_events=whole.orchestrator_request.new_events,
            )
        )
    )

    peek = work_items.peek(raw)

    expected = whole.orchestrator_request
    assert codec.decode(messages.WorkItem, raw).orchestrator_request == expected
    found = work_items.decode_request(messages.OrchestratorRequest, raw, peek.request)
    assert found == expected
    assert peek.past_events.decode(skip=2) == expected.past_events[2:]


def activity() -> Any:
    # Its input has the number of an orchestrator's past events.
    instance = messages.OrchestrationInstance(instance_id="order-2")
    request = messages.ActivityRequest(input="x", orchestration_instance=instance)
    return messages.WorkItem(activity_request=request)


def test_of_two_kinds_of_request_the_last_one_counts() -> None:
    peek = work_items.peek(codec.encode(activity()) + codec.encode(turn(past=2)))

    assert (peek.kind, peek.instance_id, len(peek.past_events)) == (
        "orchestrator_request",
        "order-1",
        2,
    )


def test_events_of_a_request_that_does_not_count_are_no_events() -> None:
    raw = codec.encode(turn(past=2)) + codec.encode(activity())

    peek = work_items.peek(raw)

    assert (peek.kind, peek.instance_id, len(peek.past_events)) == (
        "activity_request",
        "order-2",
        0,
    )
    with pytest.raises(ValueError, match="1 more events"):
        peek.past_events.decode(skip=1)


def test_more_events_than_there_are_cannot_be_skipped() -> None:
    with pytest.raises(ValueError, match="1 more events"):
        work_items.peek(codec.encode(turn(past=3))).past_events.decode(skip=4)


def test_the_events_that_are_skipped_are_not_read() -> None:
    raw = codec.encode(turn(past=2)).replace(b'"0"', b'"\xff"')

    past_events = work_items.peek(raw).past_events

    assert len(past_events.decode(skip=1)) == 1
    with pytest.raises(codec.DecodeError):
        past_events.decode()


def decode_what_is_found(raw: bytes) -> None:
    peek = work_items.peek(raw)
    peek.past_events.decode(skip=1)
    peek.new_events.decode()
    work_items.decode_request(messages.OrchestratorRequest, raw, peek.request)


def test_damaged_work_items_raise_decode_errors_and_nothing_else() -> None:
    rng = random.Random("damage")
    with_past, without_past = turn(past=3, new=2), turn(past=0, new=2)
    for item in (with_past, without_past):
        item.orchestrator_request.properties = {"IncludeState": "false", "HistoryLength": "12"}
    intact = [codec.encode(item) for item in (with_past, without_past)]
    refused = 0
    for number in range(6000):
        raw = bytearray(intact[number % 2])
        raw[rng.randrange(len(raw))] = rng.randrange(256)
        raw = raw[: rng.randrange(len(raw) + 1)]
        for read in (work_items.peek, decode_what_is_found):
            try:
                read(bytes(raw))
            except codec.DecodeError:
                refused += 1
            except ValueError as error:
                assert "to skip" in str(error)  # noqa: PT017 - an answer, not a failure to read

    assert refused > 1000
