"""Say which gRPC status each kind of failure has: the only place that names codes.

Workers repeat a completion that was answered with UNAVAILABLE or INTERNAL, so those two
are for what may well succeed later; a completion that comes too late is no error at all.

Knows nothing about the methods.
"""

from __future__ import annotations

import grpc

from durabletask.protocol.codec import DecodeError
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


class RefusedError(Exception):
    """The request is understood and turned down."""

    def __init__(self, refusal: Refusal) -> None:
        self.refusal = refusal
        super().__init__(refusal.text)


class UnauthenticatedError(Exception):
    """Who calls does not show who they are."""


class PermissionDeniedError(Exception):
    """Who calls is known, and may not do this here."""


_CODES: dict[type, grpc.StatusCode] = {
    InvalidArgument: grpc.StatusCode.INVALID_ARGUMENT,
    NotFound: grpc.StatusCode.NOT_FOUND,
    AlreadyExists: grpc.StatusCode.ALREADY_EXISTS,
    FailedPrecondition: grpc.StatusCode.FAILED_PRECONDITION,
    Exhausted: grpc.StatusCode.RESOURCE_EXHAUSTED,
    ResourceExhaustedError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    DecodeError: grpc.StatusCode.INVALID_ARGUMENT,
    ShuttingDownError: grpc.StatusCode.UNAVAILABLE,
    CommitFailedError: grpc.StatusCode.UNAVAILABLE,
    StoreError: grpc.StatusCode.UNAVAILABLE,
    UnauthenticatedError: grpc.StatusCode.UNAUTHENTICATED,
    PermissionDeniedError: grpc.StatusCode.PERMISSION_DENIED,
}


def check(reply: Reply) -> None:
    """Raise RefusedError when the command was turned down."""
    if not isinstance(reply, Accepted | Purged | Stale):
        raise RefusedError(reply)


def code_of(error: Exception) -> grpc.StatusCode:
    """The status of a failure; INTERNAL means that it is a defect of the sidecar's."""
    cause = error.refusal if isinstance(error, RefusedError) else error
    for kind, code in _CODES.items():
        if isinstance(cause, kind):
            return code
    return grpc.StatusCode.INTERNAL
