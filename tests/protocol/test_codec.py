"""What the codec promises beyond protobuf's bytes."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import random
import subprocess
import sys
import threading
import traceback
from datetime import UTC, datetime
from typing import Any

import pytest

from durabletask.protocol import codec, dialects, messages, wire
from durabletask.protocol.dialects import DAPR, NATIVE, TASKHUB
from tests.builders.protocol import RandomMessages, all_classes

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def event(result: str = "done") -> Any:
    return messages.HistoryEvent(
        event_id=-1,
        timestamp=NOON,
        task_completed=messages.TaskCompletedEvent(task_scheduled_id=3, result=result),
    )


def drawn(message_class: type[Any], count: int) -> list[Any]:
    make = RandomMessages(random.Random(message_class.__name__)).make
    return [make(message_class) for _ in range(count)]


# betterproto2's own codec knows neither JSON properties nor Durations below zero.
WRITTEN_ALIKE = [
    message_class
    for message_class in all_classes()
    if message_class.__name__
    not in {
        *("EntityBatchRequest", "OrchestratorRequest", "TaskFailureDetails"),
        *("OrchestratorEntityParameters", "PurgeInstanceFilter"),
    }
]


@pytest.mark.parametrize("message_class", all_classes())
def test_what_was_written_is_read_back(message_class: type[Any]) -> None:
    for message in drawn(message_class, 20):
        assert codec.decode(message_class, codec.encode(message)) == message


@pytest.mark.parametrize("message_class", WRITTEN_ALIKE)
def test_betterproto2_and_the_codec_read_each_other(message_class: type[Any]) -> None:
    # One level, since what the next ones hold may be among the exceptions.
    make = RandomMessages(random.Random(message_class.__name__)).make
    for message in [make(message_class, depth=0) for _ in range(10)]:
        assert message_class.parse(codec.encode(message)) == message
        assert codec.decode(message_class, bytes(message)) == message


@pytest.mark.parametrize(
    "same",
    [copy.copy, copy.deepcopy, dataclasses.replace, lambda m: pickle.loads(pickle.dumps(m))],
    ids=["copy", "deepcopy", "replace", "pickle"],
)
def test_a_decoded_message_is_as_good_as_a_constructed_one(same: Any) -> None:
    decoded = codec.decode(messages.HistoryEvent, codec.encode(event()))

    assert decoded == event()
    assert repr(decoded) == repr(event())
    assert same(decoded) == event()


def test_a_field_that_was_not_sent_reads_as_its_default() -> None:
    request = codec.decode(messages.OrchestratorRequest, b"")

    assert request == messages.OrchestratorRequest()
    assert (request.instance_id, request.execution_id, request.past_events) == ("", None, [])


@pytest.mark.parametrize("dialect", [NATIVE, TASKHUB, DAPR], ids=repr)
def test_two_messages_share_no_list_and_no_dict(dialect: dialects.Dialect) -> None:
    # Dapr's dialect has no tags: they must be there, empty, all the same.
    first = codec.decode(messages.ActivityRequest, b"", dialect)
    second = codec.decode(messages.ActivityRequest, b"", dialect)

    first.tags["color"] = "red"

    assert second.tags == {}


def test_bytes_may_come_as_a_memoryview() -> None:
    raw = memoryview(b"--" + codec.encode(event()))[2:]

    assert codec.decode(messages.HistoryEvent, raw) == event()


def test_spans_are_read_as_if_they_stood_in_a_row() -> None:
    raw = b"\x08\x07" + b"?????" + b"\x12\x00"

    read = codec.decode_spans(messages.HistoryEvent, raw, [(0, 2), (7, 9)])

    assert read == messages.HistoryEvent(event_id=7, timestamp=datetime(1970, 1, 1, tzinfo=UTC))


def test_no_spans_at_all_are_an_empty_message() -> None:
    assert codec.decode_spans(messages.OrchestratorRequest, b"", []) == (
        messages.OrchestratorRequest()
    )


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"\x08", "middle of a field"),
        (b"\x08\xff", "middle of a field"),
        (b"\x12\x05\x08\x01", "middle of a field"),
        (b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "middle of a field"),
        (b"\xf9\x01\x00\x00", "middle of a field"),
        (b"\x08" + b"\xff" * 10 + b"\x01", "more than ten bytes"),
        (b"\xff\xff\xff\xff\xff\x01", "field number is too large"),
        (b"\x88\x80\x80\x80\x80\x00\x01", "field number is too large"),
        (b"\x00\x00", "number 0"),
        (b"\x02\x00", "number 0"),
        (b"\xfb\x01\xfc\x01", "group"),
        (b"\xfe\x01", "group"),
        (b"\x8a\x01\x03\x0a\x01\xff", "utf-8"),
        (b"\x3a\x03\x08\x80\x80", "middle of a field"),
    ],
)
def test_malformed_bytes_are_refused_with_the_reason(raw: bytes, why: str) -> None:
    with pytest.raises(codec.DecodeError, match=rf"not a HistoryEvent: .*{why}"):
        codec.decode(messages.HistoryEvent, raw)


def test_a_number_cannot_reach_into_the_message_around_it() -> None:
    # The inner number goes on behind its message, where a field of the outer one begins.
    inner = b"\x08\x80"
    raw = wire.length_delimited(7, inner) + b"\x10\x00"

    with pytest.raises(codec.DecodeError, match="middle of a field"):
        codec.decode(messages.HistoryEvent, raw)


def test_a_string_cannot_reach_into_the_message_around_it() -> None:
    inner = b"\x0a\x02a"
    raw = wire.length_delimited(17, inner) + b"\x10\x00"

    with pytest.raises(codec.DecodeError, match="middle of a field"):
        codec.decode(messages.HistoryEvent, raw)


def test_nesting_without_end_is_refused() -> None:
    raw = b""
    for _ in range(10_000):
        raw = wire.length_delimited(4, raw)

    with pytest.raises(codec.DecodeError, match="nested too deep"):
        codec.decode(messages.TaskFailureDetails, raw)


def test_nesting_as_deep_as_protobuf_allows_is_read() -> None:
    raw = b""
    for _ in range(codec.MAX_DEPTH - 1):
        raw = wire.length_delimited(4, raw)

    assert codec.decode(messages.TaskFailureDetails, raw).inner_failure is not None


def test_json_nested_without_end_is_refused() -> None:
    value = b""
    for _ in range(10_000):
        value = wire.length_delimited(6, wire.length_delimited(1, value))
    entry = wire.length_delimited(1, b"k") + wire.length_delimited(2, value)

    with pytest.raises(codec.DecodeError, match="nested too deep"):
        codec.decode(messages.TaskFailureDetails, wire.length_delimited(6, entry))


def test_numbers_may_come_packed_or_one_by_one() -> None:
    packed = b"\x0a\x02\x01\x03"
    single = b"\x08\x01\x08\x03"

    for raw in (packed, single):
        query = codec.decode(messages.InstanceQuery, raw)
        assert query.runtime_status == [
            messages.OrchestrationStatus.COMPLETED,
            messages.OrchestrationStatus.FAILED,
        ]


def test_of_a_oneof_the_last_member_counts() -> None:
    raw = codec.encode(event()) + codec.encode(
        messages.HistoryEvent(orchestrator_completed=messages.OrchestratorCompletedEvent())
    )

    read = codec.decode(messages.HistoryEvent, raw)

    assert read.task_completed is None
    assert read.orchestrator_completed is not None


def test_of_a_oneof_in_a_merged_message_the_last_member_counts() -> None:
    first = messages.CreateTimerAction(create_timer=messages.TimerOriginCreateTimer())
    last = messages.CreateTimerAction(external_event=messages.TimerOriginExternalEvent("go"))
    raw = b"".join(
        codec.encode(messages.OrchestratorAction(create_timer=timer)) for timer in (first, last)
    )

    assert codec.decode(messages.OrchestratorAction, raw).create_timer == last


def test_a_wrapper_may_be_encoded_in_an_unusual_way() -> None:
    # A length in two bytes, of which the first alone would fit too, then an unknown field.
    wrapper = b"\x0a\x81\x00x" + wire.length_delimited(15, b"?" * 125)
    assert wrapper[1] == len(wrapper) - 2

    read = codec.decode(messages.GenericEvent, wire.length_delimited(1, wrapper))

    assert read.data == "x"


def test_of_a_scalar_the_last_value_counts() -> None:
    assert codec.decode(messages.HistoryEvent, b"\x08\x01\x08\x02").event_id == 2


def test_an_enum_value_we_do_not_know_survives() -> None:
    raw = b"\x20\x63"

    state = codec.decode(messages.OrchestrationState, raw)

    assert state.orchestration_status == 99
    assert codec.encode(state) == raw


@pytest.mark.parametrize("dialect", [NATIVE, TASKHUB, DAPR], ids=repr)
def test_a_field_we_do_not_know_goes_out_as_it_came(dialect: dialects.Dialect) -> None:
    unknown = wire.length_delimited(999, b"new") + b"\xb8\x3e\x05"
    inside = wire.length_delimited(7, b"\x08\x03" + unknown)

    read = codec.decode(messages.HistoryEvent, inside + unknown, dialect)

    assert codec.encode(read, dialect) == inside + unknown


def test_a_field_only_dapr_knows_is_not_taken_for_one_of_microsofts() -> None:
    entity_event = wire.length_delimited(23, b"something of Dapr's")

    read = codec.decode(messages.HistoryEvent, entity_event, DAPR)

    assert read.entity_operation_signaled is None
    assert codec.encode(read, TASKHUB) == wire.length_delimited(1023, b"something of Dapr's")
    assert codec.encode(read, DAPR) == entity_event


def test_what_only_dapr_has_comes_back_from_a_peer_of_microsofts() -> None:
    """Stored history goes to Microsoft's workers as it is, and comes back when they rewind."""
    stored = codec.encode(messages.ParentInstanceInfo(app_id="orders"), NATIVE)

    passed_on = codec.encode(codec.decode(messages.ParentInstanceInfo, stored, TASKHUB), TASKHUB)

    assert codec.decode(messages.ParentInstanceInfo, passed_on, NATIVE).app_id == "orders"


def test_a_field_only_microsoft_knows_does_not_reach_dapr() -> None:
    read = codec.decode(messages.HistoryEvent, wire.length_delimited(40, b"new"), TASKHUB)

    assert codec.encode(read, DAPR) == b""


def test_dapr_is_not_told_of_a_capability_whose_number_it_reads_otherwise() -> None:
    capability = messages.WorkerCapability
    request = messages.GetWorkItemsRequest(
        capabilities=[capability.SCHEDULED_TASKS, capability.STATEFUL_HISTORY]
    )

    assert codec.encode(request, DAPR) == b"\x22\x01\x02"
    assert codec.encode(request, TASKHUB) == b"\x52\x01\x02"


@pytest.mark.parametrize(
    "message",
    [
        lambda: messages.HistoryEvent(event_id=2**31),
        lambda: messages.HistoryEvent(event_id=-(2**31) - 1),
        lambda: messages.PageInstanceIdsRequest(page_size=-1),
        lambda: messages.HistoryEvent(timestamp=datetime(2026, 1, 1)),
        lambda: messages.RaiseEventRequest(name="\ud800"),
        lambda: messages.RaiseEventRequest(name=7),  # type: ignore[arg-type]
        lambda: messages.RaiseEventRequest(input=b"bytes"),  # type: ignore[arg-type]
        lambda: messages.TaskFailureDetails(properties={"code": "{not JSON"}),
        lambda: messages.GetEntityResponse(entity="@counter@1"),  # type: ignore[arg-type]
    ],
)
def test_a_value_that_does_not_fit_is_an_error_that_names_the_message(message: Any) -> None:
    made = message()

    with pytest.raises(codec.EncodeError, match=type(made).__name__):
        codec.encode(made)


@pytest.mark.parametrize("repetition", range(5))
def test_many_threads_may_need_a_message_for_the_first_time_at_once(repetition: int) -> None:
    unused = dialects.Dialect(f"fresh {repetition}", dialects.DaprNumbers.KEPT)
    raw = codec.encode(event())
    start = threading.Barrier(8)
    outcomes: list[bool] = []

    def use() -> None:
        start.wait()
        read = codec.decode(messages.HistoryEvent, raw, unused)
        outcomes.append(codec.encode(read, unused) == raw)

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert outcomes == [True] * 8


def test_a_traceback_shows_the_line_of_the_compiled_function() -> None:
    try:
        codec.encode(messages.HistoryEvent(event_id="three"))  # type: ignore[arg-type]
    except codec.EncodeError as error:
        shown = "".join(traceback.format_exception(error))

    assert "if 0 <= value < 128" in shown


def run(program: str) -> None:
    subprocess.run([sys.executable, "-c", program], check=True)


def test_importing_the_protocol_makes_no_message_class() -> None:
    run(
        "import sys\n"
        "from durabletask.protocol import codec, dialects, events, messages, methods\n"
        "from durabletask.protocol import oneofs, wire, work_items\n"
        "loaded = [name for name in sys.modules if 'betterproto2' in name or '_generated' in name]\n"
        "sys.exit(f'loaded too early: {loaded}' if loaded else 0)\n"
    )


def test_decoding_may_be_the_first_thing_that_a_program_does() -> None:
    # Here other tests have used the classes before.
    run(
        "from durabletask.protocol import codec, messages\n"
        "event = codec.decode(messages.HistoryEvent, b'\\x3a\\x00')\n"
        "assert event.event_id == 0 and event.task_completed.result is None\n"
        "assert codec.encode(event) == b'\\x3a\\x00'\n"
    )
