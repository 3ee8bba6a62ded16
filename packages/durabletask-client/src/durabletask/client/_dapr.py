"""How operations of a client differ where the engine speaks Dapr's dialect.

Such engines have fewer operations, and some of these answer only when a worker has acted, or
never. What the engine would silently ignore is refused or logged; what would hang is asked for
in another way.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NoReturn

from durabletask.client._flow import Call, Fail, fail
from durabletask.protocol import messages, methods
from durabletask.transport import error_mapping
from durabletask.transport.errors import (
    InstanceNotFoundError,
    InstanceStatusError,
    SidecarUnavailableError,
    UnsupportedOperationError,
)

if TYPE_CHECKING:
    from durabletask.client._flow import Flow
    from durabletask.protocol.methods import Method
    from durabletask.transport.constructor_arguments import HubLogger
    from durabletask.transport.engine_detection import Engine

PATIENCE: Final = 10.0
"""Seconds to wait for an answer that may come only once a worker is connected."""

AT_ONCE: Final = datetime.fromtimestamp(0, UTC)
"""A start time that lies in the past on every clock, the engine's included."""


def start(
    engine: Engine, request: messages.CreateInstanceRequest, log: HubLogger, logged: set[str]
) -> Flow[None]:
    """Rewrite a request to start an instance in Dapr's terms, or fail if there are none.

    A field that the engine does not keep is logged, unless it is in `logged` already.
    """
    request.enforce_unique_instance_id = yield from _is_unique(engine, request)
    request.orchestration_id_reuse_policy = None
    if request.scheduled_start_timestamp is None:
        # Without a start time durabletask-go does not answer until a worker has taken the first
        # turn. Dapr's own SDK for JavaScript always sends this one.
        request.scheduled_start_timestamp = AT_ONCE
    lost = {name for name in ("tags", "version") if getattr(request, name)} - logged
    if lost:
        logged |= lost
        log.warning(
            "Starting instances without %s, which %s does not store",
            " and ".join(sorted(lost)),
            engine.name,
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
        yield from unsupported(
            engine,
            methods.START_INSTANCE,
            "replace instances by their status (StartInstance with reuse_id_policy)",
            "name COMPLETED, FAILED and TERMINATED together to replace an instance that has ended, "
            "or terminate and purge the old one first",
            request.instance_id,
        )
    )


def unsupported(
    engine: Engine, method: Method, what: str, instead: str, instance_id: str = ""
) -> Flow[NoReturn]:
    """Fail because the engine has the method, but not what is asked of it."""
    details = error_mapping.lacks_feature(engine, what, instead)
    kind = UnsupportedOperationError
    return fail(Fail(kind, method, "UNIMPLEMENTED", details, instance_id, sent=False))


def missing(method: Method, instance_id: str) -> Flow[NoReturn]:
    """Fail because no instance has that id."""
    return fail(Fail(InstanceNotFoundError, method, "NOT_FOUND", "", instance_id))


def exists(instance_id: str) -> Flow[bool]:
    """Whether an instance has that id."""
    request = messages.GetInstanceRequest(instance_id=instance_id)
    try:
        response = yield Call(methods.GET_INSTANCE, request)
    except InstanceNotFoundError:
        return False
    found: bool = response.exists
    return found


def send(method: Method, request: Any, log: HubLogger) -> Flow[None]:
    """Send an instance an event or a command; fails if no instance has that id.

    The instance is looked up first: durabletask-go would keep the message for an instance that
    gets the id later, and daprd would not answer.
    """
    if not (yield from exists(request.instance_id)):
        yield from missing(method, request.instance_id)
    if method is methods.RAISE_EVENT:
        yield Call(method, request)
        return
    try:
        # durabletask-go stores these at once, but answers only when a worker has acted on them.
        yield Call(method, request, PATIENCE)
    except SidecarUnavailableError as error:
        if error.refusal.status != "DEADLINE_EXCEEDED":
            raise
        log.warning(
            "The engine has not answered %s of instance '%s' within %g s. It takes effect when "
            "a worker runs the instance.",
            method.name,
            request.instance_id,
            PATIENCE,
            extra={"instance_id": request.instance_id, "method": method.name},
        )


def purge(request: messages.PurgeInstancesRequest) -> Flow[messages.PurgeInstancesResponse]:
    """Purge an instance if there is one; without one daprd does not answer, others refuse."""
    method, instance_id = methods.PURGE_INSTANCES, request.instance_id or ""
    if not (yield from exists(instance_id)):
        return messages.PurgeInstancesResponse()
    try:
        purged: messages.PurgeInstancesResponse = yield Call(method, request)
    except InstanceNotFoundError as error:
        # durabletask-go answers so for an instance that has not begun, too.
        if not (yield from exists(instance_id)):
            return messages.PurgeInstancesResponse()
        details = error.refusal.details
        failure = Fail(InstanceStatusError, method, "FAILED_PRECONDITION", details, instance_id)
        return (yield from fail(failure))
    return purged
