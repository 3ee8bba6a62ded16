"""Convert the arguments of users to fields of the protocol's messages.

Every value is checked here, so that the error names the argument and nothing is sent.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from durabletask.core import arguments
from durabletask.protocol import messages

_LARGEST = 2**31 - 1


def aware(at: datetime | None, argument: str) -> datetime | None:
    """The time, aware; a naive one is UTC, as everywhere in the official API."""
    if at is None:
        return None
    arguments.instance_of(datetime, at, argument)
    if at.utcoffset() is not None:
        return at
    return at.replace(tzinfo=UTC)


def count(value: int | None, argument: str) -> int:
    """The number of things; 0 stands for None."""
    if value is None:
        return 0
    if not isinstance(value, int):
        raise arguments.wrong_type(argument, "an int or None", value)
    if not 0 <= value <= _LARGEST:
        raise ValueError(f"{argument} must be between 0 and {_LARGEST}, not {value}")
    return value


def statuses(value: Any, argument: str) -> list[messages.OrchestrationStatus]:
    """The statuses in a collection of members or numbers; an empty list for None."""
    if value is None:
        return []
    if not isinstance(value, Iterable):
        raise _not_statuses(value, argument)
    return [_status(status, value, argument) for status in value]


def reuse_policy(policy: Any) -> messages.OrchestrationIdReusePolicy | None:
    """The policy as a message: ours, the official SDK's, or the statuses themselves."""
    if policy is None:
        return None
    for name in ("replaceable_status", "replaceableStatus"):
        policy = getattr(policy, name, policy)
    return messages.OrchestrationIdReusePolicy(
        replaceable_status=statuses(policy, "reuse_id_policy")
    )


def _status(status: Any, whole: object, argument: str) -> messages.OrchestrationStatus:
    number = getattr(status, "value", status)
    if not isinstance(number, int):
        raise _not_statuses(whole, argument)
    return messages.OrchestrationStatus(number)


def _not_statuses(value: object, argument: str) -> TypeError:
    return arguments.wrong_type(argument, "a collection of OrchestrationStatus, or None", value)
