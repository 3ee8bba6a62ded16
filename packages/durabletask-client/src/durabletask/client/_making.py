"""What the two clients do alike when they are made and when they need a name or an id."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from durabletask.client._flows import Flows
from durabletask.core import arguments
from durabletask.serialization import DEFAULT_DATA_CONVERTER
from durabletask.transport import logger as loggers
from durabletask.transport.health import ChannelHealth

if TYPE_CHECKING:
    import logging

    from durabletask.grpc_options import GrpcClientResiliencyOptions
    from durabletask.serialization import DataConverter

LOGGER_NAME = "durabletask.client"

Orchestrator = str | Callable[..., Any]


def make_flows(
    converter: DataConverter | None,
    logger: logging.Logger | None,
    handler: logging.Handler | None,
    formatter: logging.Formatter | None,
) -> Flows:
    """The operations of a client with these settings."""
    # The fourth frame up is the line that made the client.
    log = loggers.choose(LOGGER_NAME, logger, handler, formatter, stacklevel=4)
    return Flows(converter or DEFAULT_DATA_CONVERTER, log)


def make_health(options: GrpcClientResiliencyOptions | None) -> ChannelHealth:
    """When to give up a channel, as the options say."""
    if options is None:
        return ChannelHealth()
    return ChannelHealth(
        options.channel_recreate_failure_threshold, options.min_recreate_interval_seconds
    )


def checked_version(default_version: str | None) -> str | None:
    """The version for instances that are given none."""
    return arguments.optional_text(default_version, "default_version")


def name_of(orchestrator: Orchestrator) -> str:
    """The name under which workers know an orchestrator."""
    if isinstance(orchestrator, str):
        return orchestrator
    # Late: who schedules by name does not need the authors' side at all.
    from durabletask import task

    return task.get_name(orchestrator)


def id_of(instance_id: str | None) -> str:
    """The id that was given, else one that nobody else has."""
    given = arguments.optional_text(instance_id, "instance_id")
    return given or uuid.uuid4().hex  # noqa: TID251 - clients are where ids come from


class _Kept:
    """Stands for an input that stays as it was: None is an input too."""

    def __repr__(self) -> str:
        return "KEPT"


KEPT: Any = _Kept()


def execution_id_for(reuse_id_policy: Any) -> str | None:
    """What makes a start that may replace an instance safe to repeat.

    Our sidecar knows the repetition by it, and does not replace what it has just made.
    """
    return None if reuse_id_policy is None else uuid.uuid4().hex  # noqa: TID251 - as above


def new_request_id() -> str:
    """What tells a signal from all others."""
    return str(uuid.uuid4())  # noqa: TID251 - clients are where ids come from


def version_of(version: str | None, default: str | None) -> str | None:
    """The version that was given, else the default."""
    return arguments.optional_text(version, "version") or default
