"""What both clients use in place of arguments that were left out, and to check the others."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from durabletask.client._bulk import BulkFlows
from durabletask.client._entities import EntityFlows
from durabletask.client._instances import InstanceFlows
from durabletask.core import arguments
from durabletask.serialization import DEFAULT_DATA_CONVERTER
from durabletask.transport.constructor_arguments import choose_logger
from durabletask.transport.limits import ChannelHealth

if TYPE_CHECKING:
    import logging

    from durabletask.grpc_options import GrpcClientResiliencyOptions
    from durabletask.serialization import DataConverter

LOGGER_NAME = "durabletask.client"

Orchestrator = str | Callable[..., Any]


class Flows(NamedTuple):
    """The operations of a client: on one instance, on many instances, on entities."""

    instances: InstanceFlows
    bulk: BulkFlows
    entities: EntityFlows


def flows(
    converter: DataConverter | None,
    logger: logging.Logger | None,
    handler: logging.Handler | None,
    formatter: logging.Formatter | None,
    metadata: Sequence[tuple[str, str]] | None,
) -> Flows:
    """The operations of a client with these settings."""
    # The fourth frame up is the line that made the client.
    log = choose_logger(LOGGER_NAME, logger, handler, formatter, metadata=metadata, stacklevel=4)
    used = converter or DEFAULT_DATA_CONVERTER
    return Flows(InstanceFlows(used, log), BulkFlows(used, log), EntityFlows(used, log))


def channel_health(options: GrpcClientResiliencyOptions | None) -> ChannelHealth:
    """When to give up a channel, as the options say."""
    if options is None:
        return ChannelHealth()
    return ChannelHealth(
        options.channel_recreate_failure_threshold, options.min_recreate_interval_seconds
    )


def checked_version(default_version: str | None) -> str | None:
    """The version of instances that are given none."""
    return arguments.optional_text(default_version, "default_version")


def version_of(version: str | None, default: str | None) -> str | None:
    """The version that was given, else the default."""
    return arguments.optional_text(version, "version") or default


def name_of(orchestrator: Orchestrator) -> str:
    """The name under which workers know an orchestrator."""
    if isinstance(orchestrator, str):
        return orchestrator
    # Late: scheduling by name needs none of the modules for authors of orchestrators.
    from durabletask import task

    return task.get_name(orchestrator)


def id_of(instance_id: str | None) -> str:
    """The id that was given, else a new one."""
    given = arguments.optional_text(instance_id, "instance_id")
    return given or uuid.uuid4().hex  # noqa: TID251 - clients are where ids come from


def execution_id_for(reuse_id_policy: Any) -> str | None:
    """The id that makes a start safe to repeat though it may replace an instance.

    Our sidecar recognises the repetition by it, and does not replace the new instance.
    """
    return None if reuse_id_policy is None else uuid.uuid4().hex  # noqa: TID251 - as above


def new_request_id() -> str:
    """The id that tells a signal from all others."""
    return str(uuid.uuid4())  # noqa: TID251 - clients are where ids come from


class _RecordedInput:
    """Stands for the recorded input where no other is given: None is an input too."""

    def __repr__(self) -> str:
        return "RECORDED_INPUT"


RECORDED_INPUT: Any = _RecordedInput()
