from __future__ import annotations

from typing import Any

import pytest

from durabletask.protocol import codec, messages, oneofs
from tests.builders.protocol import all_classes


def started() -> messages.OrchestratorStartedEvent:
    return messages.OrchestratorStartedEvent()


@pytest.mark.parametrize(
    ("message", "member"),
    [
        (lambda: messages.HistoryEvent(orchestrator_started=started()), "orchestrator_started"),
        (lambda: messages.HistoryEvent(event_id=1), ""),
        (lambda: messages.OrchestrationInstance(instance_id="a"), ""),
        # A member that holds its type's default is set all the same.
        (lambda: messages.PurgeInstancesRequest(instance_id=""), "instance_id"),
    ],
)
def test_the_set_member_is_named(message: Any, member: str) -> None:
    constructed = message()
    decoded = codec.decode(type(constructed), codec.encode(constructed))

    assert oneofs.which(constructed) == member
    assert oneofs.which(decoded) == member


def test_a_member_that_was_cleared_is_not_set() -> None:
    event = messages.HistoryEvent(orchestrator_started=started())

    event.orchestrator_started = None

    assert oneofs.which(event) == ""


@pytest.mark.parametrize("message_class", all_classes())
def test_no_message_has_more_than_one_oneof(message_class: type[Any]) -> None:
    groups = {meta.group for meta in message_class._betterproto.meta_by_field_name.values()}

    assert len(groups - {None}) <= 1
