"""What can go wrong between this program and its sidecar.

    DurableTaskError
    `-- SidecarError                    the sidecar refused a call, or failed it
        |-- SidecarUnavailableError     nobody answers at the address, or not in time
        |-- InstanceNotFoundError       no instance has that id
        |-- InstanceExistsError         an instance has that id already
        |-- InstanceStatusError         the instance is not in a status that allows the call
        |-- LeaseLostError              the work was given to another worker meanwhile
        `-- ProtocolError               whoever answers does not speak the protocol
            `-- UnsupportedOperationError   or not all of it: the engine cannot do this

A text says what to do next and names the address or the instance. Errors that came through
gRPC are gRPC errors as well: `grpc.RpcError` in synchronous programs and
`grpc.aio.AioRpcError` in asynchronous ones, so that `except` clauses written for other SDKs
still catch them. That second base is added when such an error is raised (see
`grpc_errors.py`); importing this module does not import gRPC.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from durabletask.failures import DurableTaskError

if TYPE_CHECKING:
    import grpc


@dataclass(frozen=True, slots=True)
class Refusal:
    """A call that did not succeed, and what was said about it.

    `status` is the name of a gRPC status code. `timeout` is what the caller allowed, in
    seconds; `debug` is what gRPC tells people who debug gRPC. `sent` is False for what was
    refused here, because it is known that the engine cannot do it.
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
        # Not super(): gRPC's asynchronous error comes next there, and drops the text.
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

    # gRPC's errors, which come later in the order of the bases, have their own of these.
    def __str__(self) -> str:
        return str(self.args[0])

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.refusal)


class SidecarUnavailableError(SidecarError):
    """Nobody answers at the address, or not in time."""


class InstanceNotFoundError(SidecarError):
    """No instance has that id."""


class InstanceExistsError(SidecarError):
    """An instance has that id already, and the call did not allow to replace it."""


class InstanceStatusError(SidecarError):
    """The instance is not in a status that allows the call, such as to rewind one that runs."""


class LeaseLostError(SidecarError):
    """The sidecar gave the work to another worker, or knows nothing of it any more."""


class ProtocolError(SidecarError):
    """Whoever answers at the address does not speak the protocol, or another version of it."""


class UnsupportedOperationError(ProtocolError):
    """The engine does not have the operation; its text says what to use instead.

    Raised before anything is sent where that is known beforehand.
    """
