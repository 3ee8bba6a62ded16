"""The keys of call metadata by which this SDK tells its sidecar more than messages can hold."""

from __future__ import annotations

from typing import Final

MAX_MESSAGE_KEY: Final = "x-durabletask-max-message"
"""How many bytes a message to the caller may have: a work item, or a batch of replies."""

EXTENDED_SESSIONS_KEY: Final = "x-durabletask-extended-sessions"
""""1" from a worker that keeps orchestrations in memory, and needs no history that it has."""
