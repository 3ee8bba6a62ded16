"""Find which member of a message's oneof is set.

A decoded message holds only what was on the wire, so the member is found among the few entries
of its instance dict; testing every member in turn would cost more than decoding. Fields come in
the order of their numbers, and the members of a oneof are mostly the last of them.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import betterproto2

_members: dict[type[betterproto2.Message], frozenset[str]] = {}


def which(message: betterproto2.Message) -> str:
    """Name of the member of the message's oneof that is set, `""` when none is.

    Every message of the protocol has at most one oneof.
    """
    members = _members.get(type(message))
    if members is None:
        members = members_of(type(message))
    fields = vars(message)
    for name in reversed(fields):
        if name in members and fields[name] is not None:
            return name
    return ""


def members_of(message_class: type[betterproto2.Message]) -> frozenset[str]:
    """Names of the members of a message's oneof; empty for a message that has none."""
    members = frozenset(
        field.name
        for field in dataclasses.fields(message_class)  # type: ignore[arg-type]
        if field.metadata["betterproto"].group
    )
    _members[message_class] = members
    return members
