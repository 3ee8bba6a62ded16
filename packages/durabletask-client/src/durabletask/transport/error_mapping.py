"""What a refused call means: the class of the error, and a text that says what to do next.

    gRPC's status --\
    the engine's text --> kind_of() --> a class of `errors.py` --> text_of() --> the text
    the method ----/

The tables map gRPC's status codes, and the texts of engines that use no codes, to errors. Does
no I/O and imports no gRPC: a status is its name, such as "UNAVAILABLE".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from durabletask.protocol import in_process
from durabletask.transport.engine_detection import ENGINE_KEY, VARIABLE
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
    from durabletask.protocol.methods import Method
    from durabletask.transport.engine_detection import Engine
    from durabletask.transport.errors import Refusal

_KINDS: dict[str, type[SidecarError]] = {
    "UNAVAILABLE": SidecarUnavailableError,
    "DEADLINE_EXCEEDED": SidecarUnavailableError,
    # Engines written in Go answer so while they shut down.
    "CANCELLED": SidecarUnavailableError,
    "NOT_FOUND": InstanceNotFoundError,
    "ALREADY_EXISTS": InstanceExistsError,
    "UNIMPLEMENTED": ProtocolError,
}

# Engines written in Go refuse with UNKNOWN and a text.
_KINDS_OF_TEXTS: tuple[tuple[str, type[SidecarError]], ...] = (
    ("no such instance exists", InstanceNotFoundError),
    ("orchestration instance already exists", InstanceExistsError),
    ("workflow instance already exists", InstanceExistsError),
    ("orchestration has not yet completed", InstanceStatusError),
    ("workflow has not yet completed", InstanceStatusError),
    ("unknown instance id", LeaseLostError),
)

# What these calls do not find is the lease, not the instance.
_COMPLETIONS = ("Complete", "Abandon")
_LEASE_IS_GONE = ("NOT_FOUND", "FAILED_PRECONDITION")

# The status that the instance must have for these calls, and how to get there.
_REQUIRED_STATUS = {
    "RewindInstance": (
        "Only an instance that has FAILED can be rewound; use restart_orchestration for one that "
        "has ended in another status."
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

# A sidecar that names the option which sets the limit has already said what to do.
_NAMED_LIMIT = "--max-"

# gRPC's texts where the port is open but the connection fails. If gRPC ever changes them, the
# advice is the one for an address where nothing listens.
_CONNECTION_REFUSED = ("handshake failed", "Socket closed")
_CHECK_TLS = (
    "A server listens there but closed the connection. Check that both sides speak TLS (https:// "
    "before the address, or secure_channel) or neither does, and that each trusts the other's "
    "certificate."
)

_CHECK_PROCESS = (
    "Such an address leads to a `Sidecar(port=None)` of the same process, for as long as it runs: "
    "keep it open, and give it a port if other processes need it."
)

CLOSED_HERE = "the client or worker was closed during the call"
"""The details of a call, with the status CANCELLED, that this end has ended by closing."""
_CLOSED_BY_GRPC = "Channel closed!"  # gRPC's details for it

_OTHER_ENGINE = "use an engine that can, such as `durabletask-sidecar`"

# What an engine cannot do that lacks the method of this name.
_CANNOT = {
    "RewindInstance": "rewind instances",
    "RestartInstance": "restart instances",
    "RerunWorkflowFromEvent": "run an instance again from an event",
    "PurgeInstances": "purge instances this way",
    "QueryInstances": "query instances",
    "ListInstanceIds": "list the ids of instances",
    "ListInstanceIDs": "list the ids of all instances",
    "StreamInstanceHistory": "stream an instance's history",
    "GetInstanceHistory": "return an instance's history",
    "SignalEntity": "keep entities",
    "GetEntity": "keep entities",
    "QueryEntities": "keep entities",
    "CleanEntityStorage": "keep entities",
}

_INSTEAD = {
    "RewindInstance": (
        "use rerun_orchestration_from_event, if the engine has that, or schedule a new instance"
    ),
    "RestartInstance": "schedule a new instance with the same input",
    "RerunWorkflowFromEvent": (
        "use rewind_orchestration for an instance that failed, restart_orchestration for one "
        "that has ended in another status"
    ),
    "QueryInstances": (
        "use list_instance_ids, and get_orchestration_state for those that are of interest"
    ),
}


def kind_of(refusal: Refusal) -> type[SidecarError]:
    """The class of the error that a refusal means."""
    if refusal.method.startswith(_COMPLETIONS) and refusal.status in _LEASE_IS_GONE:
        return LeaseLostError
    if refusal.status == "FAILED_PRECONDITION" and refusal.method in _REQUIRED_STATUS:
        return InstanceStatusError
    if refusal.status == "UNIMPLEMENTED" and refusal.method in _CANNOT:
        return UnsupportedOperationError
    if refusal.status == "UNKNOWN":
        details = refusal.details.lower()
        return next((kind for text, kind in _KINDS_OF_TEXTS if text in details), SidecarError)
    return _KINDS.get(refusal.status, SidecarError)


def text_of(refusal: Refusal, kind: type[SidecarError] | None = None) -> str:
    """What happened and what to do next; `kind` is given where the status does not decide it."""
    return _TEXTS.get(kind or kind_of(refusal), _refused)(refusal)


def undecided(details: str) -> str:
    """The text of a refusal that left open which dialect the engine speaks."""
    return (
        f"{details or 'no reason given'}; the engine's dialect could not be detected. If this "
        f"persists, set {VARIABLE} or the argument dialect to taskhub or dapr"
    )


def lacks_method(engine: Engine, method: Method) -> str:
    """The text of an error for a method that the engine does not have."""
    cannot = f"{_CANNOT.get(method.name, 'do this')} ({method.name})"
    return lacks_feature(engine, cannot, _INSTEAD.get(method.name, _OTHER_ENGINE))


def lacks_feature(engine: Engine, what: str, instead: str) -> str:
    """The text of an error for what an engine cannot do.

    `what` follows "cannot", and `instead` is a request, both without a period.
    """
    return f"{engine.name} cannot {what}. Instead, {instead}."


def _unavailable(refusal: Refusal) -> str:
    if refusal.status == "DEADLINE_EXCEEDED":
        happened = (
            f"{refusal.address} did not answer {refusal.method}"
            f"{_about(refusal)} within {refusal.timeout:g} s."
        )
    elif refusal.status == "CANCELLED" and refusal.details in (CLOSED_HERE, _CLOSED_BY_GRPC):
        return (
            f"The connection to {refusal.address} was closed during the call. Wait for calls "
            "before you close the client or worker."
        )
    else:
        happened = f"No sidecar answers at {refusal.address}{_details(refusal)}."
    if any(text in refusal.details for text in _CONNECTION_REFUSED):
        return f"{happened} {_CHECK_TLS}"
    if refusal.address.startswith(in_process.SCHEME):
        return f"{happened} {_CHECK_PROCESS}"
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
        f"{refusal.address} already has an instance {refusal.instance_id!r}. Choose another "
        "instance_id (leave it out to get a new one), or name in reuse_id_policy the statuses in "
        "which it may be replaced."
    )


def _wrong_status(refusal: Refusal) -> str:
    required = _REQUIRED_STATUS.get(
        refusal.method,
        "Its present status, which get_orchestration_state returns, does not allow it.",
    )
    return f"{refusal.address} refused {refusal.method}{_about(refusal)}{_details(refusal)}. {required}"


def _lease_lost(refusal: Refusal) -> str:
    return (
        f"{refusal.address} no longer accepts {refusal.method}{_about(refusal)}"
        f"{_details(refusal)}: the work was given to another worker, or has ended. "
        "Nothing is lost; discard this result."
    )


def _unsupported(refusal: Refusal) -> str:
    if not refusal.sent:
        return f"{refusal.address}: {refusal.details}"
    cannot = _CANNOT.get(refusal.method, "do this")
    return (
        f"{_engine(refusal)} does not have the method {refusal.method}{_details(refusal)}: "
        f"it cannot {cannot}. `durabletask-sidecar` can."
    )


def _protocol(refusal: Refusal) -> str:
    if refusal.status == "UNIMPLEMENTED":
        happened = (
            f"{refusal.address} does not have the method {refusal.method}{_details(refusal)}."
        )
    else:
        happened = f"{refusal.address} answered {refusal.method} with {refusal.details}."
    return (
        f"{happened} Check that it is a Durable Task sidecar, and that its version fits this SDK."
    )


def _refused(refusal: Refusal) -> str:
    hint = "" if _NAMED_LIMIT in refusal.details else _HINTS.get(refusal.status, "")
    details = refusal.details or "no reason given"
    return (
        f"{refusal.address} refused {refusal.method}{_about(refusal)}: "
        f"{details} ({refusal.status}).{hint}"
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
    name = dict((*refusal.initial_metadata, *refusal.trailing_metadata)).get(ENGINE_KEY)
    return f"The engine at {refusal.address}" + (f" ({name!s})" if name else "")


def _about(refusal: Refusal) -> str:
    return f" of instance {refusal.instance_id!r}" if refusal.instance_id else ""


def _details(refusal: Refusal) -> str:
    return f" ({refusal.details})" if refusal.details else ""
