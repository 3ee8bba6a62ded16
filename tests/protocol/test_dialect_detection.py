"""Which dialect a peer speaks shows in what it sends."""

from __future__ import annotations

from typing import Any

import pytest

from durabletask.protocol import codec, dialect_detection, dialects, messages, wire
from durabletask.protocol.dialects import DAPR, EITHER, TASKHUB, Dialect

ROUTER = messages.TaskRouter(source_app_id="orders")
UUID = "6f9619ff-8b86-4011-b42d-00c04fc964ff"


def request(dialect: Dialect, **fields: Any) -> bytes:
    return codec.encode(messages.GetWorkItemsRequest(**fields), dialect)


def answer(dialect: Dialect, *actions: Any, **fields: Any) -> bytes:
    message = messages.OrchestratorResponse(
        instance_id="a", completion_token="t", actions=list(actions), **fields
    )
    return codec.encode(message, dialect)


def task(**fields: Any) -> Any:
    router = fields.pop("router", None)
    scheduled = messages.ScheduleTaskAction(name="greet", **fields)
    return messages.OrchestratorAction(id=1, schedule_task=scheduled, router=router)


def new_history(*events: Any) -> Any:
    rewind = messages.RewindOrchestrationAction(new_history=list(events))
    return messages.OrchestratorAction(id=-1, rewind_orchestration=rewind)


@pytest.mark.parametrize(
    "fields",
    [
        {"max_concurrent_orchestration_work_items": 1},
        {"max_concurrent_activity_work_items": 1},
        {"max_concurrent_entity_work_items": 1},
        {"capabilities": [messages.WorkerCapability.HISTORY_STREAMING]},
        {"work_item_filters": messages.WorkItemFilters()},
        {"worker_instance_id": "w"},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_a_worker_that_sends_a_field_of_microsofts_speaks_it(fields: Any) -> None:
    assert dialect_detection.of_worker(request(TASKHUB, **fields)) is TASKHUB


def test_a_worker_that_sends_daprs_capabilities_speaks_dapr() -> None:
    capabilities = [messages.WorkerCapability.STATEFUL_HISTORY]

    assert dialect_detection.of_worker(request(DAPR, capabilities=capabilities)) is DAPR


def test_a_worker_that_sends_nothing_may_speak_either() -> None:
    assert dialect_detection.of_worker(b"") is None


def test_a_request_for_work_that_is_cut_off_is_refused() -> None:
    with pytest.raises(wire.DecodeError):
        dialect_detection.of_worker(request(TASKHUB, worker_instance_id="worker")[:-1])


@pytest.mark.parametrize(
    "raw",
    [
        answer(DAPR, task(task_execution_id=UUID)),
        answer(DAPR, task(router=ROUTER)),
        # As most writers order it: an empty router behind the task.
        answer(DAPR, task(router=messages.TaskRouter())).replace(
            b"J\0\x12\x07\n\x05greet", b"\x12\x07\n\x05greetJ\0"
        ),
        answer(DAPR, version=messages.OrchestrationVersion(name="v2")),
        answer(DAPR, version=messages.OrchestrationVersion(patches=["pa"])),
        answer(DAPR, version=messages.OrchestrationVersion(patches=["patch1"])),
        answer(
            DAPR,
            messages.OrchestratorAction(
                id=1,
                create_timer=messages.CreateTimerAction(
                    create_timer=messages.TimerOriginCreateTimer()
                ),
            ),
        ),
    ],
    ids=["task id", "router", "empty router", "version", "short patch", "patch", "timer"],
)
def test_an_answer_with_something_of_daprs_speaks_dapr(raw: bytes) -> None:
    assert dialect_detection.of_completion(raw) is DAPR


@pytest.mark.parametrize(
    "raw",
    [
        answer(TASKHUB, task()),
        answer(TASKHUB, task(tags={"a": "b"})),
        answer(TASKHUB, task(parent_trace_context=messages.TraceContext(trace_parent="00-1-2-3"))),
        answer(
            TASKHUB,
            orchestration_trace_context=messages.OrchestrationTraceContext(span_id="0123456789"),
        ),
    ],
    ids=["plain", "tags", "trace parent", "trace context"],
)
def test_an_answer_without_may_be_anybodys(raw: bytes) -> None:
    assert dialect_detection.of_completion(raw) is None


def test_a_new_history_is_microsofts_when_it_was_asked_for() -> None:
    raw = answer(TASKHUB, new_history(messages.HistoryEvent(event_id=1)))

    assert dialect_detection.of_completion(raw, rewinds=True) is None
    assert dialect_detection.of_completion(raw) is not None


def test_what_nobody_can_read_is_not_taken_for_daprs() -> None:
    assert dialect_detection.of_completion(b"\x7f") is TASKHUB


@pytest.mark.parametrize("dialect", [TASKHUB, DAPR], ids=repr)
def test_which_turn_is_answered_shows_in_any_dialect(dialect: Dialect) -> None:
    raw = answer(dialect, task(router=ROUTER), version=messages.OrchestrationVersion(name="v"))

    assert dialect_detection.completion_ids(raw) == dialect_detection.CompletionIds("a", "t")


def test_an_id_that_is_no_text_is_refused() -> None:
    with pytest.raises(wire.DecodeError):
        dialect_detection.completion_ids(b"\x0a\x01\xff")


def test_one_reader_reads_both_vendors_starts() -> None:
    ours = messages.CreateInstanceRequest(instance_id="a", tags={"t": "1"})
    daprs = messages.CreateInstanceRequest(
        instance_id="a", enforce_unique_instance_id=True, router=ROUTER
    )

    assert codec.decode(type(ours), codec.encode(ours, TASKHUB), EITHER) == ours
    assert codec.decode(type(daprs), codec.encode(daprs, DAPR), EITHER) == daprs


def test_one_reader_reads_both_vendors_purges() -> None:
    ours = messages.PurgeInstancesRequest(
        instance_batch=messages.InstanceBatch(instance_ids=["a"]), is_orchestration=True
    )
    daprs = messages.PurgeInstancesRequest(instance_id="a", force=True, router=ROUTER)

    assert codec.decode(type(ours), codec.encode(ours, TASKHUB), EITHER) == ours
    assert codec.decode(type(daprs), codec.encode(daprs, DAPR), EITHER) == daprs


@pytest.mark.parametrize(
    "name",
    [
        "GetInstanceRequest",
        "RaiseEventRequest",
        "TerminateRequest",
        "SuspendRequest",
        "ResumeRequest",
    ],
)
def test_one_reader_reads_daprs_router_in_every_call(name: str) -> None:
    message = getattr(messages, name)(instance_id="a", router=ROUTER)

    assert codec.decode(type(message), codec.encode(message, DAPR), EITHER) == message


def test_exceptions_of_the_shared_dialect_are_daprs_numbers() -> None:
    for message, moved in dialects.EITHER.moved_fields.items():
        fields = {
            name: field.metadata["betterproto"].number
            for name, field in getattr(messages, message).__dataclass_fields__.items()
        }
        for name, number in moved.items():
            assert DAPR.field_number(message, name, fields[name]) == number
