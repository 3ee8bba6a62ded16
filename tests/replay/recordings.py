"""Recorded instances as values, and what of an action has to be the same in every SDK."""

from __future__ import annotations

import base64
import dataclasses
import json
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from durabletask.protocol import codec, dialects, messages

HISTORIES = Path(__file__).with_name("histories")

# Tracing differs by SDK, frames by source line, and what only Dapr knows was not recorded.
_INCIDENTAL = {"parent_trace_context", "router", "stack_trace", "task_execution_id"}


@dataclass(frozen=True)
class Turn:
    request: messages.OrchestratorRequest
    response: messages.OrchestratorResponse


@dataclass(frozen=True)
class Recording:
    name: str
    orchestrator: str
    maximum_timer_interval: timedelta
    turns: tuple[Turn, ...]

    def __str__(self) -> str:
        return self.name


def load(file: Path) -> Recording:
    told = json.loads(file.read_text())
    return Recording(
        name=told["name"],
        orchestrator=told["orchestrator"],
        maximum_timer_interval=timedelta(seconds=told["maximum_timer_interval_seconds"]),
        turns=tuple(map(_turn, told["turns"])),
    )


def files(recorder: str) -> list[Path]:
    return sorted((HISTORIES / recorder).glob("*.json"))


def by_name(name: str, recorder: str = "official") -> Recording:
    return load(HISTORIES / recorder / f"{name}.json")


def meaning(message: Any) -> Any:
    """The message as plain values, without what is incidental or left at its default."""
    if isinstance(message, (list, tuple)):
        return _with_unlocks_sorted([meaning(item) for item in message])
    if not dataclasses.is_dataclass(message):
        return message
    fields = {
        field.name: meaning(getattr(message, field.name))
        for field in dataclasses.fields(message)
        if field.name not in _INCIDENTAL
    }
    if isinstance(message, messages.EventRaisedEvent):
        # Compared without case everywhere; the official SDK carries it over in small letters.
        fields["name"] = message.name.casefold()
    return {name: value for name, value in fields.items() if value not in (None, "", 0, [], {})}


def _with_unlocks_sorted(actions: list[Any]) -> list[Any]:
    """The unlocks of one critical section leave together, so their order says nothing.

    The official SDK sends them in the order in which the entities last answered.
    """
    unlocks = [
        action["send_entity_message"]["entity_unlock_sent"]
        for action in actions
        if isinstance(action, dict)
        and "entity_unlock_sent" in action.get("send_entity_message", ())
    ]
    for _, group in groupby(unlocks, key=itemgetter("critical_section_id")):
        section = list(group)
        targets = sorted(unlock["target_instance_id"] for unlock in section)
        for unlock, target in zip(section, targets, strict=True):
            unlock["target_instance_id"] = target
    return actions


def _turn(told: dict[str, str]) -> Turn:
    return Turn(
        _decoded(messages.OrchestratorRequest, told["request"]),
        _decoded(messages.OrchestratorResponse, told["response"]),
    )


def _decoded(message_class: type[Any], text: str) -> Any:
    return codec.decode(message_class, base64.b64decode(text), dialects.TASKHUB)
