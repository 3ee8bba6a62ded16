"""The statuses that calls end with, and which errors lead to each.

The statuses have the names and the meaning of gRPC's. Workers repeat a completion that was
answered with UNAVAILABLE or INTERNAL, so those two are for what may succeed later. A
completion that comes too late is no error.
"""

from __future__ import annotations

import enum
import logging

from durabletask.protocol.codec import DecodeError
from durabletask.protocol.in_process import Failure
from durabletask.sidecar.engine.transition import (
    Accepted,
    AlreadyExists,
    Exhausted,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    Purged,
    Refusal,
    Reply,
    Stale,
)
from durabletask.sidecar.errors import CommitFailedError, ResourceExhaustedError, ShuttingDownError
from durabletask.sidecar.store import StoreError

_log = logging.getLogger("durabletask.sidecar")

# Details travel in a header, percent-encoded, and peers take some 8 KiB of headers.
_LONGEST_DETAILS = 1024


class Status(enum.Enum):
    """Why a call failed."""

    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    NOT_FOUND = "NOT_FOUND"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    UNAVAILABLE = "UNAVAILABLE"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    INTERNAL = "INTERNAL"
    """A defect of the sidecar."""


class RefusedError(Exception):
    """The request was understood and refused."""

    def __init__(self, refusal: Refusal) -> None:
        self.refusal = refusal
        super().__init__(refusal.text)


class UnauthenticatedError(Exception):
    """The call carries no token that the sidecar accepts."""


class PermissionDeniedError(Exception):
    """The call's token is not for the task hub that it names."""


_STATUSES: dict[type, Status] = {
    InvalidArgument: Status.INVALID_ARGUMENT,
    NotFound: Status.NOT_FOUND,
    AlreadyExists: Status.ALREADY_EXISTS,
    FailedPrecondition: Status.FAILED_PRECONDITION,
    Exhausted: Status.RESOURCE_EXHAUSTED,
    ResourceExhaustedError: Status.RESOURCE_EXHAUSTED,
    DecodeError: Status.INVALID_ARGUMENT,
    ShuttingDownError: Status.UNAVAILABLE,
    CommitFailedError: Status.UNAVAILABLE,
    StoreError: Status.UNAVAILABLE,
    UnauthenticatedError: Status.UNAUTHENTICATED,
    PermissionDeniedError: Status.PERMISSION_DENIED,
}


def check_reply(reply: Reply) -> None:
    """Raise RefusedError when the engine refused the command."""
    if not isinstance(reply, Accepted | Purged | Stale):
        raise RefusedError(reply)


def status_of(error: Exception) -> Status:
    """The status that a call ends with because of the error."""
    cause = error.refusal if isinstance(error, RefusedError) else error
    for kind, status in _STATUSES.items():
        if isinstance(cause, kind):
            return status
    return Status.INTERNAL


def failure_of(error: Exception, *, method: str, hub: str) -> Failure:
    """The status and the details that the caller gets for the error, which is logged."""
    status = status_of(error)
    fields = {"hub": hub, "method": method, "status": status.name}
    if status is Status.INTERNAL:
        _log.error("Call failed", exc_info=error, extra=fields)
    else:
        # Without the text, which may hold what the caller sent.
        _log.debug("Call refused", extra=fields)
    return Failure(status.name, _details(error))


def _details(error: Exception) -> str:
    text = str(error) or type(error).__name__
    # Counted in bytes, and cut where a character ends.
    return text.encode(errors="replace")[:_LONGEST_DETAILS].decode(errors="ignore")
