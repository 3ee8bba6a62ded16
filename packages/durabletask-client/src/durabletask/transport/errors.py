"""The errors of calls to a sidecar.

    DurableTaskError
    `-- SidecarError                    the sidecar refused a call, or failed it
        |-- SidecarUnavailableError     no sidecar answers at the address, or not in time
        |-- InstanceNotFoundError       no instance has that id
        |-- InstanceExistsError         an instance already has that id
        |-- InstanceStatusError         the instance is not in a status that allows the call
        |-- LeaseLostError              the work was given to another worker meanwhile
        `-- ProtocolError               the server does not speak the protocol
            `-- UnsupportedOperationError   or lacks this operation

A text names the address or the instance, and says what to do next. Errors that came through
gRPC are also gRPC's: `grpc.RpcError` in synchronous programs and `grpc.aio.AioRpcError` in
asynchronous ones, so that `except` clauses written for other SDKs still catch them. That second
base is added when such an error is raised (see `grpc_errors.py`); importing this module does
not import gRPC.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from durabletask.failures import DurableTaskError

if TYPE_CHECKING:
    import grpc


@dataclass(frozen=True, slots=True)
class Refusal:
    """A call that failed, with all that is known of the failure.

    `status` is the name of a gRPC status code. `timeout` is the caller's, in seconds; `debug`
    is gRPC's debug string. `sent` is False for a call that was not sent, because the engine is
    known not to support it.
    """

    address: str
    method: str
    status: str
    details: str = ""
    instance_id: str = ""
    timeout: float = 0.0
    initial_metadata: tuple[tuple[str, str | bytes], ...] = ()
    trailing_metadata: tuple[tuple[str, str | bytes], ...] = ()
    debug: str = ""
    sent: bool = True


class SidecarError(DurableTaskError):
    """The sidecar refused a call, or failed it; `code()` and `details()` are gRPC's."""

    def __init__(self, text: str, refusal: Refusal) -> None:
        # Not super(): that may be gRPC's asynchronous error, which drops the text.
        Exception.__init__(self, text)
        self.refusal = refusal

    @property
    def address(self) -> str:
        """The address that was called."""
        return self.refusal.address

    @property
    def instance_id(self) -> str:
        """The instance that the call was about, or an empty string."""
        return self.refusal.instance_id

    def code(self) -> grpc.StatusCode:
        import grpc

        return grpc.StatusCode[self.refusal.status]

    def details(self) -> str:
        return self.refusal.details

    def debug_error_string(self) -> str:
        return self.refusal.debug

    def initial_metadata(self) -> Any:
        return self.refusal.initial_metadata

    def trailing_metadata(self) -> Any:
        return self.refusal.trailing_metadata

    # Without these, those of gRPC's errors, the second base, would be used.
    def __str__(self) -> str:
        return str(self.args[0])

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.refusal)


class SidecarUnavailableError(SidecarError):
    """No sidecar answers at the address, or not in time."""


class InstanceNotFoundError(SidecarError):
    """No instance has that id."""


class InstanceExistsError(SidecarError):
    """An instance already has that id, and the call did not allow to replace it."""


class InstanceStatusError(SidecarError):
    """The instance's status does not allow the call, such as to rewind one that runs."""


class LeaseLostError(SidecarError):
    """The sidecar gave the work item to another worker, or no longer has it."""


class ProtocolError(SidecarError):
    """The server at the address does not speak the protocol, or another version of it."""


class UnsupportedOperationError(ProtocolError):
    """The engine does not have the operation; the text says what to use instead.

    Raised before anything is sent if that is known beforehand.
    """
