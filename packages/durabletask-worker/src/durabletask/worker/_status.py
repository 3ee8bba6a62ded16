"""What a failed call says about itself, whatever raised the error."""

from __future__ import annotations

from typing import Any


def status_of(error: Exception) -> str | None:
    """The name of the gRPC status that the error carries, if it carries one."""
    code: Any = getattr(error, "code", None)
    status = code() if callable(code) else None
    return getattr(status, "name", None)
