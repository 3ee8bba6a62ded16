"""What a refused call means: which error of ours it is, and what its reader can do next.

A pure table from status codes, and from the texts of sidecars that use no codes, to errors.

Knows nothing about gRPC's own exceptions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from durabletask.transport import unsupported
from durabletask.transport.dialect import ENGINE_KEY, VARIABLE
from durabletask.transport.errors import (
    InstanceExistsError,
    InstanceNotFoundError,
    InstanceStatusError,
    LeaseLostError,
    ProtocolError,
    SidecarError,
    SidecarUnavailableError,
    UnsupportedOperationError,
)

if TYPE_CHECKING:
    from durabletask.transport.errors import Refusal

_KINDS: dict[str, type[SidecarError]] = {
    "UNAVAILABLE": SidecarUnavailableError,
    "DEADLINE_EXCEEDED": SidecarUnavailableError,
    # How sidecars written in Go say that they are shutting down.
    "CANCELLED": SidecarUnavailableError,
    "NOT_FOUND": InstanceNotFoundError,
    "ALREADY_EXISTS": InstanceExistsError,
    "UNIMPLEMENTED": ProtocolError,
}

# Sidecars written in Go refuse with UNKNOWN and a text.
_KINDS_OF_TEXTS: tuple[tuple[str, type[SidecarError]], ...] = (
    ("no such instance exists", InstanceNotFoundError),
    ("orchestration instance already exists", InstanceExistsError),
    ("workflow instance already exists", InstanceExistsError),
    ("orchestration has not yet completed", InstanceStatusError),
    ("workflow has not yet completed", InstanceStatusError),
    ("unknown instance id", LeaseLostError),
)

# What these calls do not find is not the instance but the right to complete its work.
_COMPLETIONS = ("Complete", "Abandon")
_LEASE_IS_GONE = ("NOT_FOUND", "FAILED_PRECONDITION")

# What these calls ask of the instance, and how to get there.
_WANTED_STATUS = {
    "RewindInstance": (
        "Only an instance that has FAILED can be rewound; restart_orchestration starts one "
        "anew that has ended in another way."
    ),
    "RestartInstance": (
        "Only an instance that has ended can be restarted: wait for it, or terminate it first."
    ),
    "PurgeInstances": (
        "Only an instance that has ended can be purged: wait for it, or terminate it first."
    ),
}

_HINTS = {
    "UNAUTHENTICATED": " Check the credentials in the metadata of this client or worker.",
    "PERMISSION_DENIED": " Check the rights of the credentials in use.",
    "RESOURCE_EXHAUSTED": (
        " Messages have a limit: keep large data elsewhere and pass a reference to it,"
        " or raise the limits in channel_options here and in the sidecar."
    ),
}


# What gRPC says where somebody listens, but the two do not come together. Should the texts ever
# change, the advice is the one for an address where nobody does.
_BROKEN_OFF = ("handshake failed", "Socket closed")
_CHECK_TLS = (
    "Something listens there and broke off: check that both sides speak TLS (https:// before the "
    "address, or secure_channel) or neither does, and that each trusts the other's certificate."
)


def kind_of(refusal: Refusal) -> type[SidecarError]:
    """The class of the error that a refusal means."""
    if refusal.method.startswith(_COMPLETIONS) and refusal.status in _LEASE_IS_GONE:
        return LeaseLostError
    if refusal.status == "FAILED_PRECONDITION" and refusal.method in _WANTED_STATUS:
        return InstanceStatusError
    if refusal.status == "UNIMPLEMENTED" and refusal.method in unsupported.CANNOT:
        return UnsupportedOperationError
    if refusal.status == "UNKNOWN":
        said = refusal.details.lower()
        return next((kind for text, kind in _KINDS_OF_TEXTS if text in said), SidecarError)
    return _KINDS.get(refusal.status, SidecarError)


def text_of(refusal: Refusal, kind: type[SidecarError] | None = None) -> str:
    """What happened and what to do next, for people; `kind` if the status does not tell."""
    return _TEXTS.get(kind or kind_of(refusal), _refused)(refusal)


def undecided(details: str) -> str:
    """What was said to the question who is there, with what to do about it."""
    return (
        f"{details or 'no reason given'}; so it remains open which dialect it speaks. If this "
        f"does not pass, name it: {VARIABLE}, or the argument dialect, can be taskhub or dapr"
    )


def _unavailable(refusal: Refusal) -> str:
    if refusal.status == "DEADLINE_EXCEEDED":
        happened = (
            f"{refusal.address} did not answer {refusal.method}"
            f"{_about(refusal)} within {refusal.timeout:g} s."
        )
    else:
        happened = f"no sidecar answers at {refusal.address}{_as_said(refusal)}."
    if any(sign in refusal.details for sign in _BROKEN_OFF):
        return f"{happened} {_CHECK_TLS}"
    port = refusal.address.rpartition(":")[2]
    port = port if port.isdigit() else "4001"
    return (
        f"{happened} Start one with `durabletask-sidecar --port {port}`, "
        "or set DURABLETASK_ENDPOINT to the address of one that runs."
    )


def _not_found(refusal: Refusal) -> str:
    if not refusal.instance_id:
        return _refused(refusal)
    return (
        f"{refusal.address} has no instance {refusal.instance_id!r}. Check the id, "
        "and that the instance was started on this sidecar and has not been purged."
    )


def _exists(refusal: Refusal) -> str:
    return (
        f"{refusal.address} has an instance {refusal.instance_id!r} already. Choose another "
        "instance_id (leave it out to get a new one), or say with reuse_id_policy in which "
        "states it may be replaced."
    )


def _wrong_status(refusal: Refusal) -> str:
    wanted = _WANTED_STATUS.get(
        refusal.method, "The status that it has now, as get_orchestration_state tells, forbids it."
    )
    return (
        f"{refusal.address} refused {refusal.method}{_about(refusal)}{_as_said(refusal)}. {wanted}"
    )


def _lease_lost(refusal: Refusal) -> str:
    return (
        f"{refusal.address} no longer accepts {refusal.method}{_about(refusal)}"
        f"{_as_said(refusal)}: the work was given to another worker, or has ended. "
        "Nothing is lost; drop this result."
    )


def _unsupported(refusal: Refusal) -> str:
    if not refusal.sent:
        return f"{refusal.address}: {refusal.details}"
    cannot = unsupported.CANNOT.get(refusal.method, "do this")
    return (
        f"{_engine(refusal)} does not know the call {refusal.method}{_as_said(refusal)}: "
        f"it cannot {cannot}. `durabletask-sidecar` can."
    )


def _protocol(refusal: Refusal) -> str:
    if refusal.status == "UNIMPLEMENTED":
        happened = f"{refusal.address} does not know the call {refusal.method}{_as_said(refusal)}."
    else:
        happened = f"{refusal.address} answered {refusal.method} with {refusal.details}."
    return f"{happened} Is it a Durable Task sidecar, and of a version that fits this SDK?"


def _refused(refusal: Refusal) -> str:
    hint = _HINTS.get(refusal.status, "")
    said = refusal.details or "no reason given"
    return (
        f"{refusal.address} refused {refusal.method}{_about(refusal)}: "
        f"{said} ({refusal.status}).{hint}"
    )


_TEXTS = {
    SidecarUnavailableError: _unavailable,
    InstanceNotFoundError: _not_found,
    InstanceExistsError: _exists,
    InstanceStatusError: _wrong_status,
    LeaseLostError: _lease_lost,
    ProtocolError: _protocol,
    UnsupportedOperationError: _unsupported,
}


def _engine(refusal: Refusal) -> str:
    told = dict((*refusal.initial_metadata, *refusal.trailing_metadata)).get(ENGINE_KEY)
    return f"the engine at {refusal.address}" + (f" ({told!s})" if told else "")


def _about(refusal: Refusal) -> str:
    return f" of instance {refusal.instance_id!r}" if refusal.instance_id else ""


def _as_said(refusal: Refusal) -> str:
    return f" ({refusal.details})" if refusal.details else ""
