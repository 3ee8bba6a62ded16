from __future__ import annotations

from typing import Any

import pytest

from durabletask.protocol import messages
from durabletask.protocol.blank_messages import blank
from tests.builders.protocol import all_classes


@pytest.mark.parametrize("message_class", all_classes())
def test_a_blank_message_is_what_the_constructor_makes(message_class: type[Any]) -> None:
    made = blank(message_class)

    assert made == message_class()
    assert repr(made) == repr(message_class())
    assert bytes(made) == b""


def test_two_blank_messages_share_no_list_and_no_dict() -> None:
    first, second = blank(messages.OrchestratorRequest), blank(messages.OrchestratorRequest)

    first.properties["a"] = "1"
    first.past_events.append(messages.HistoryEvent())

    assert (second.properties, second.past_events) == ({}, [])
