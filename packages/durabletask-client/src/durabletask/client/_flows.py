"""Each operation of a client, once: a generator that asks for calls and gets their responses.

`_sync.py` and `_aio.py` drive the same flows, so the two clients cannot differ:

    flow --Ask(method, request, timeout)--> driver --response, or SidecarError--> flow

A flow decides what is asked, what an answer means and which error is none. It does no I/O
and makes no ids.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from durabletask.client._state import new_orchestration_state
from durabletask.core import arguments
from durabletask.core.payloads import serialized
from durabletask.protocol import messages, methods
from durabletask.transport.errors import (
    InstanceExistsError,
    InstanceNotFoundError,
    SidecarUnavailableError,
)

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping

    from durabletask.client._state import OrchestrationState
    from durabletask.protocol.methods import Method
    from durabletask.serialization import DataConverter

T = TypeVar("T")

LONGEST_POLL = 60.0
"""Seconds of one call of a wait without a timeout; another call follows."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A call that a flow wants made; `timeout` as `Transport.unary` takes it."""

    method: Method
    request: Any
    timeout: float | None = None


Flow = Generator[Ask, Any, T]


@dataclass(frozen=True, slots=True)
class Flows:
    """The operations, with what they all need."""

    converter: DataConverter
    log: logging.Logger

    def schedule(
        self,
        name: str,
        *,
        instance_id: str,
        is_new_id: bool,
        input: Any = None,
        start_at: datetime | None = None,
        reuse_id_policy: Any = None,
        tags: Mapping[str, str] | None = None,
        version: str | None = None,
    ) -> Flow[str]:
        """Start an instance; returns its id. `is_new_id`: nobody else can have made it."""
        request = messages.CreateInstanceRequest(
            instance_id=instance_id,
            name=arguments.text(name, "name"),
            input=serialized(input, self.converter),
            version=version or None,
            scheduled_start_timestamp=_aware(start_at),
            orchestration_id_reuse_policy=_reuse_policy(reuse_id_policy),
            tags=arguments.tags(tags) or {},
        )
        self.log.info("Starting new '%s' instance with ID = '%s'.", name, instance_id)
        try:
            response = yield Ask(methods.START_INSTANCE, request)
        except InstanceExistsError:
            # An id that was made for this very call exists only because the call was made
            # before: its answer was lost, and the transport or gRPC repeated it.
            if not is_new_id:
                raise
            return instance_id
        return response.instance_id or instance_id

    def state(self, instance_id: str, *, fetch_payloads: bool) -> Flow[OrchestrationState | None]:
        """Look an instance up."""
        ask = Ask(methods.GET_INSTANCE, _look_up(instance_id, fetch_payloads=fetch_payloads))
        return (yield from self._state_of(instance_id, ask))

    def wait_start(
        self, instance_id: str, *, fetch_payloads: bool, timeout: float | None
    ) -> Flow[OrchestrationState | None]:
        """Wait until an instance has begun to run."""
        request = _look_up(instance_id, fetch_payloads=fetch_payloads)
        self.log.info("Waiting for instance '%s' to start.", instance_id)
        ask = Ask(methods.WAIT_FOR_INSTANCE_START, request, timeout)
        return (yield from self._wait(instance_id, ask, "start"))

    def wait_completion(
        self, instance_id: str, *, fetch_payloads: bool, timeout: float | None
    ) -> Flow[OrchestrationState | None]:
        """Wait until an instance has ended."""
        request = _look_up(instance_id, fetch_payloads=fetch_payloads)
        self.log.info("Waiting for instance '%s' to complete.", instance_id)
        ask = Ask(methods.WAIT_FOR_INSTANCE_COMPLETION, request, timeout)
        state = yield from self._wait(instance_id, ask, "complete")
        if state is not None:
            self.log.info("Instance '%s' ended %s.", instance_id, state.runtime_status)
        return state

    def raise_event(self, instance_id: str, event_name: str, *, data: Any) -> Flow[None]:
        """Send an event to an instance."""
        request = messages.RaiseEventRequest(
            instance_id=arguments.text(instance_id, "instance_id"),
            name=arguments.text(event_name, "event_name"),
            input=serialized(data, self.converter),
        )
        self.log.info("Raising event '%s' for instance '%s'.", event_name, instance_id)
        yield Ask(methods.RAISE_EVENT, request)

    def terminate(self, instance_id: str, *, output: Any, recursive: bool) -> Flow[None]:
        """End an instance, and its children too if `recursive`."""
        request = messages.TerminateRequest(
            instance_id=arguments.text(instance_id, "instance_id"),
            output=serialized(output, self.converter),
            recursive=recursive,
        )
        self.log.info("Terminating instance '%s'.", instance_id)
        yield Ask(methods.TERMINATE_INSTANCE, request)

    def suspend(self, instance_id: str, *, reason: str | None) -> Flow[None]:
        """Let an instance rest until it is resumed."""
        request = messages.SuspendRequest(
            instance_id=arguments.text(instance_id, "instance_id"),
            reason=arguments.optional_text(reason, "reason"),
        )
        self.log.info("Suspending instance '%s'.", instance_id)
        yield Ask(methods.SUSPEND_INSTANCE, request)

    def resume(self, instance_id: str, *, reason: str | None) -> Flow[None]:
        """Let a suspended instance go on."""
        request = messages.ResumeRequest(
            instance_id=arguments.text(instance_id, "instance_id"),
            reason=arguments.optional_text(reason, "reason"),
        )
        self.log.info("Resuming instance '%s'.", instance_id)
        yield Ask(methods.RESUME_INSTANCE, request)

    def _wait(self, instance_id: str, ask: Ask, what: str) -> Flow[OrchestrationState | None]:
        forever = ask.timeout is None
        if forever:
            ask = Ask(ask.method, ask.request, LONGEST_POLL)
        while True:
            try:
                return (yield from self._state_of(instance_id, ask))
            except SidecarUnavailableError as error:
                if error.refusal.status != "DEADLINE_EXCEEDED":
                    raise
                if not forever:
                    raise TimeoutError(
                        f"Timed-out waiting for the orchestration to {what}"
                    ) from None

    def _state_of(self, instance_id: str, ask: Ask) -> Flow[OrchestrationState | None]:
        try:
            response = yield ask
        except InstanceNotFoundError:
            # Most sidecars answer that it does not exist; those written in Go refuse a wait.
            return None
        return new_orchestration_state(instance_id, response, self.converter)


def _look_up(instance_id: str, *, fetch_payloads: bool) -> messages.GetInstanceRequest:
    return messages.GetInstanceRequest(
        instance_id=arguments.text(instance_id, "instance_id"),
        get_inputs_and_outputs=fetch_payloads,
    )


def _aware(at: datetime | None) -> datetime | None:
    """Naive times are UTC, as everywhere in the official API."""
    if at is None:
        return None
    arguments.instance_of(datetime, at, "start_at")
    if at.utcoffset() is not None:
        return at
    return at.replace(tzinfo=UTC)


def _reuse_policy(policy: Any) -> messages.OrchestrationIdReusePolicy | None:
    """The policy as a message: ours, the official SDK's, or the statuses themselves."""
    if policy is None:
        return None
    for name in ("replaceable_status", "replaceableStatus"):
        policy = getattr(policy, name, policy)
    return messages.OrchestrationIdReusePolicy(
        replaceable_status=[
            messages.OrchestrationStatus(int(getattr(status, "value", status))) for status in policy
        ]
    )
