"""What a client reads about an entity, from the message an engine sent."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from durabletask.entities import EntityInstanceId, EntityMetadata, EntityOperationFailedException
from durabletask.failures import FailureDetails, to_message
from durabletask.protocol import messages

THEN = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Point:
    x: int


def message(**changes: Any) -> messages.EntityMetadata:
    fields: dict[str, Any] = {
        "instance_id": "@counter@a",
        "last_modified_time": THEN,
        "serialized_state": "5",
    }
    return messages.EntityMetadata(**(fields | changes))


def metadata(**changes: Any) -> EntityMetadata:
    return EntityMetadata.from_entity_metadata(message(**changes), includes_state=True)


def test_everything_the_engine_told_can_be_read() -> None:
    told = metadata(backlog_queue_size=3, locked_by="order-1")

    assert told.id == EntityInstanceId("counter", "a")
    assert told.last_modified == THEN
    assert told.backlog_queue_size == 3
    assert told.locked_by == "order-1"
    assert told.includes_state


def test_what_the_engine_left_out_has_a_value_too() -> None:
    told = metadata(last_modified_time=None, locked_by=None)

    assert told.last_modified == datetime(1970, 1, 1, tzinfo=UTC)
    assert told.locked_by == ""
    assert told.backlog_queue_size == 0


def test_the_state_is_read_by_the_data_converter() -> None:
    assert metadata(serialized_state='{"x": 1}').get_typed_state(Point) == Point(1)
    assert metadata(serialized_state='{"x": 1}').get_typed_state() == {"x": 1}
    assert metadata(serialized_state=None).get_typed_state(Point) is None


def test_the_official_get_state_gives_the_text_or_what_a_type_makes_of_it() -> None:
    assert metadata().get_state() == "5"
    assert metadata().get_state(int) == 5
    assert metadata(serialized_state=None).get_state() == ""
    with pytest.raises(TypeError, match="Could not convert state of type 'str' to 'int'"):
        metadata(serialized_state='"x"').get_state(int)


def test_a_state_that_was_not_asked_for_is_none() -> None:
    told = EntityMetadata.from_entity_metadata(message(), includes_state=False)

    assert not told.includes_state
    assert told.get_state() is None
    assert told.get_state(int) is None
    assert told.get_typed_state(int) is None


def test_the_holder_of_the_lock_as_an_entity() -> None:
    assert metadata().get_locked_by() is None
    assert metadata(locked_by="@other@x").get_locked_by() == EntityInstanceId("other", "x")
    with pytest.raises(ValueError, match="must start with '@'"):
        metadata(locked_by="order-1").get_locked_by()


def test_an_answer_about_an_entity_that_exists() -> None:
    response = messages.GetEntityResponse(exists=True, entity=message())

    assert EntityMetadata.from_entity_response(response, includes_state=True).id.key == "a"


@pytest.mark.parametrize(
    "response",
    [
        messages.GetEntityResponse(exists=False),
        messages.GetEntityResponse(exists=False, entity=message()),
        messages.GetEntityResponse(exists=True),
    ],
)
def test_an_answer_about_one_that_does_not_is_refused(
    response: messages.GetEntityResponse,
) -> None:
    with pytest.raises(ValueError, match="Invalid entity instance ID in entity response"):
        EntityMetadata.from_entity_response(response, includes_state=True)


def test_metadata_show_what_they_tell() -> None:
    assert "'@counter@a'" in repr(metadata())


def failed(details: Any) -> EntityOperationFailedException:
    return EntityOperationFailedException(EntityInstanceId("counter", "a"), "add", details)


CAUSE = FailureDetails("no luck", "builtins.ValueError", "frames")


def test_a_failed_operation_tells_entity_operation_and_why() -> None:
    error = failed(to_message(CAUSE))

    assert str(error) == "Operation 'add' on entity '@counter@a' failed with error: no luck"
    assert error.failure_details == CAUSE


def test_its_details_have_the_official_type_and_the_cause_inside() -> None:
    details = failed(CAUSE).details()

    assert details.error_type == (
        "durabletask.entities.entity_operation_failed_exception.EntityOperationFailedException"
    )
    assert details.is_caused_by(EntityOperationFailedException)
    assert details.inner_failure == CAUSE


def test_it_survives_pickling() -> None:
    again = pickle.loads(pickle.dumps(failed(CAUSE)))

    assert str(again) == str(failed(CAUSE))
    assert again.failure_details == CAUSE
