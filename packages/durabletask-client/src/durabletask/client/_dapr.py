"""What operations of a client do differently where the engine speaks Dapr's dialect.

Such engines have fewer operations, and some of these wait for a worker, or for ever. What
would be lost in silence is refused or logged; what hangs is asked for in another way.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NoReturn

from durabletask.client._asks import Ask, Refuse, refuse
from durabletask.protocol import messages, methods
from durabletask.transport import unsupported
from durabletask.transport.errors import (
    InstanceNotFoundError,
    InstanceStatusError,
    SidecarUnavailableError,
    UnsupportedOperationError,
)

if TYPE_CHECKING:
    import logging

    from durabletask.client._asks import Flow
    from durabletask.protocol.methods import Method
    from durabletask.transport.dialect import Engine

PATIENCE: Final = 10.0
"""Seconds for an engine to answer what it may not answer before a worker comes."""

AT_ONCE: Final = datetime.fromtimestamp(0, UTC)
"""A start time that is over on every clock, the engine's included."""


def start(
    engine: Engine, request: messages.CreateInstanceRequest, log: logging.Logger, told: set[str]
) -> Flow[None]:
    """Say in Dapr's terms what a request to start an instance asks for, or refuse it.

    What is lost is logged, unless it is in `told` already.
    """
    request.enforce_unique_instance_id = yield from _is_unique(engine, request)
    request.orchestration_id_reuse_policy = None
    if request.scheduled_start_timestamp is None:
        # Without any start time durabletask-go answers no sooner than a worker has taken the
        # first turn. Dapr's own SDK for JavaScript always sends this one.
        request.scheduled_start_timestamp = AT_ONCE
    lost = {name for name in ("tags", "version") if getattr(request, name)} - told
    if lost:
        told |= lost
        log.warning(
            "%s does not keep the %s of instances.", engine.name, " and ".join(sorted(lost))
        )


def _is_unique(engine: Engine, request: messages.CreateInstanceRequest) -> Flow[bool]:
    policy = request.orchestration_id_reuse_policy
    replaceable = set(policy.replaceable_status) if policy is not None else set()
    status = messages.OrchestrationStatus
    if not replaceable:
        return True
    if replaceable - {status.CANCELED} == {status.COMPLETED, status.FAILED, status.TERMINATED}:
        return False
    return (
        yield from cannot(
            engine,
            methods.START_INSTANCE,
            "replace instances by their status (StartInstance with reuse_id_policy)",
            "name COMPLETED, FAILED and TERMINATED together to replace an instance that has ended, "
            "or terminate and purge the old one first",
            request.instance_id,
        )
    )


def cannot(
    engine: Engine, method: Method, what: str, instead: str, instance_id: str = ""
) -> Flow[NoReturn]:
    """Refuse what the engine has a call for, but does not do."""
    details = unsupported.text(engine, what, instead)
    kind = UnsupportedOperationError
    return refuse(Refuse(kind, method, "UNIMPLEMENTED", details, instance_id, sent=False))


def missing(method: Method, instance_id: str) -> Flow[NoReturn]:
    """Refuse what is about an instance that there is not."""
    refusal = Refuse(InstanceNotFoundError, method, "NOT_FOUND", "", instance_id)
    return refuse(refusal)


def exists(instance_id: str) -> Flow[bool]:
    """Tell whether there is such an instance."""
    request = messages.GetInstanceRequest(instance_id=instance_id)
    try:
        response = yield Ask(methods.GET_INSTANCE, request)
    except InstanceNotFoundError:
        return False
    found: bool = response.exists
    return found


def tell(method: Method, request: Any, log: logging.Logger) -> Flow[None]:
    """Tell an instance something, unless there is no such instance.

    That is looked up first: durabletask-go would keep what it is told for whoever gets that id
    later, and daprd would not answer.
    """
    if not (yield from exists(request.instance_id)):
        yield from missing(method, request.instance_id)
    if method is methods.RAISE_EVENT:
        yield Ask(method, request)
        return
    try:
        # durabletask-go stores these at once, and answers when a worker has acted on them.
        yield Ask(method, request, PATIENCE)
    except SidecarUnavailableError as error:
        if error.refusal.status != "DEADLINE_EXCEEDED":
            raise
        log.warning(
            "The engine has not answered %s of instance '%s' within %g s; it takes effect when "
            "a worker runs the instance.",
            method.name,
            request.instance_id,
            PATIENCE,
        )


def purge(request: messages.PurgeInstancesRequest) -> Flow[messages.PurgeInstancesResponse]:
    """Purge an instance, unless there is none: daprd would not answer, others refuse."""
    method, instance_id = methods.PURGE_INSTANCES, request.instance_id or ""
    if not (yield from exists(instance_id)):
        return messages.PurgeInstancesResponse()
    try:
        purged: messages.PurgeInstancesResponse = yield Ask(method, request)
    except InstanceNotFoundError as error:
        # durabletask-go says so of an instance that has not begun; or else it has just gone.
        if not (yield from exists(instance_id)):
            return messages.PurgeInstancesResponse()
        details = error.refusal.details
        refusal = Refuse(InstanceStatusError, method, "FAILED_PRECONDITION", details, instance_id)
        return (yield from refuse(refusal))
    return purged
