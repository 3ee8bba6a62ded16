"""Which sub-orchestrations nobody waits for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# The tag by which the Durable Task Framework marks them.
_FIRE_AND_FORGET = "FireAndForget"


def is_detached(tags: Mapping[str, str]) -> bool:
    """Whether a child with these tags has no parent, and reports to nobody."""
    return _FIRE_AND_FORGET in tags
