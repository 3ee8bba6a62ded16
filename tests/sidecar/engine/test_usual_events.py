"""What is encoded by hand has the bytes that the codec makes of the same messages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from durabletask.protocol import codec, events, messages
from durabletask.sidecar.engine import usual_events

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

ids = st.integers(-(2**31), 2**31 - 1)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
times = st.integers(0, 2**53).map(lambda micros: EPOCH + timedelta(microseconds=micros))


@given(times)
def test_the_start_of_a_turn(at: datetime) -> None:
    expected = codec.encode(events.orchestrator_started(at))

    assert usual_events.orchestrator_started(at) == expected


@given(ids, st.none() | texts, texts, times)
def test_the_result_of_an_activity(
    task_id: int, result: str | None, call_id: str, at: datetime
) -> None:
    expected = codec.encode(
        events.task_completed(task_id, result, task_execution_id=call_id, at=at)
    )

    assert usual_events.task_completed(task_id, result, call_id, at) == expected


@given(ids, texts, st.none() | texts, st.none() | texts, texts, times)
def test_the_call_of_an_activity(
    task_id: int, name: str, version: str | None, input: str | None, call_id: str, at: datetime
) -> None:
    call = usual_events.call(name, version, input)
    scheduled = events.task_scheduled(
        task_id, name, input, version=version, task_execution_id=call_id, at=at
    )
    request = messages.ActivityRequest(
        name=name,
        version=version,
        input=input,
        orchestration_instance=messages.OrchestrationInstance(
            instance_id=call_id, execution_id=name
        ),
        task_id=task_id,
        task_execution_id=call_id,
    )

    assert usual_events.task_scheduled(task_id, call, call_id, at) == codec.encode(scheduled)
    encoded = usual_events.activity_request(task_id, call, call_id, call_id, name)
    assert encoded == codec.encode(request)
