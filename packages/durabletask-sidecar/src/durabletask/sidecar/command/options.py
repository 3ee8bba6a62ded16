"""The options of the command: one table of flags, and the values that they are turned into.

`FOR_SERVE` and `FOR_EXEC` list the groups of flags of the two sub-commands. The file of
`--config` takes the same options under the same names (see `config`). A flag that is either
set or not uses `argparse.BooleanOptionalAction`, so that a file can say both.
"""

from __future__ import annotations

import argparse
import math
import re
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from durabletask.sidecar.engine import limits
from durabletask.sidecar.engine.limits import Limits
from durabletask.sidecar.network.listening import LAST_PORT
from durabletask.sidecar.operations.logs import FORMATS, LEVELS, LogOptions
from durabletask.sidecar.operations.metrics import Metrics
from durabletask.sidecar.operations.retention import MAX_RETENTION
from durabletask.sidecar.security import Security
from durabletask.sidecar.server import SidecarOptions

from .config import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_UNITS = {"": 1, "kib": 1024, "mib": 1024**2, "gib": 1024**3}
_SIZE = re.compile(r"(\d{1,15}) *([a-z]*)", re.IGNORECASE)
_DEFAULTS = SidecarOptions()


@dataclass(frozen=True, slots=True)
class Group:
    """Flags under one title in the help; `flags` holds the arguments of `add_argument`."""

    title: str
    flags: Mapping[str, Mapping[str, Any]]
    description: str | None = None

    def add(self, parser: argparse.ArgumentParser) -> None:
        """Add the flags and their help to the parser."""
        group = parser.add_argument_group(self.title, self.description)
        for flag, settings in self.flags.items():
            group.add_argument(flag, **settings)


def _port(text: str) -> int:
    with suppress(ValueError):
        number = int(text)
        if 0 <= number <= LAST_PORT:
            return number
    raise argparse.ArgumentTypeError(f"{text!r} is not a port number from 0 to {LAST_PORT}")


def _seconds(text: str) -> float:
    with suppress(ValueError):
        seconds = float(text)
        if 0 <= seconds < math.inf:
            return seconds
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")


def _days(text: str) -> timedelta:
    try:
        days = float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of days") from error
    # The first comparison keeps infinity and NaN away from timedelta, which may round to 0.
    if not 0 < days <= MAX_RETENTION.days or not timedelta(days=days):
        raise argparse.ArgumentTypeError(
            f"must be greater than 0 and at most {MAX_RETENTION.days} days, not {text}"
        )
    return timedelta(days=days)


def _is_size(name: str) -> bool:
    return name.endswith("_bytes")


def _limit(name: str) -> Callable[[str], int | None]:
    """A reader for the value of one limit, which `Limits` then checks."""

    def read(text: str) -> int | None:
        value = None if text.lower() == "none" else _number(text, units=_is_size(name))
        try:
            Limits(**{name: value})
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error
        return value

    return read


def _number(text: str, *, units: bool) -> int:
    match = _SIZE.fullmatch(text.strip())
    unit = _UNITS.get(match[2].lower()) if match is not None else None
    if match is None or unit is None or (unit > 1 and not units):
        kind = "a number of bytes such as 1048576 or 1MiB" if units else "a number"
        raise argparse.ArgumentTypeError(f"{text!r} is neither {kind} nor none")
    return int(match[1]) * unit


def _limit_flag(name: str, meaning: str) -> Mapping[str, Any]:
    default = getattr(_DEFAULTS.limits, name)
    shown = f"{default // _UNITS['mib']}MiB" if _is_size(name) else str(default)
    return {
        "type": _limit(name),
        "default": default,
        "metavar": "SIZE" if _is_size(name) else "N",
        "help": f"{meaning} (default: {shown})",
    }


_NETWORK = Group(
    "network",
    {
        "--host": {
            "default": _DEFAULTS.host,
            "metavar": "ADDRESS",
            "help": "address to listen on (default: %(default)s)",
        },
        "--port": {
            "type": _port,
            "default": 4001,
            "help": "port to listen on; 0 picks a free port (default: %(default)s)",
        },
    },
)

_SECURITY = Group(
    "security",
    {
        "--tls-cert": {
            "metavar": "FILE",
            "help": "serve TLS with this certificate and its chain, in PEM format",
        },
        "--tls-key": {
            "metavar": "FILE",
            "help": "the private key of the certificate, in PEM format, without a passphrase",
        },
        "--client-ca": {
            "metavar": "FILE",
            "help": "accept only clients with a certificate signed by this authority, in PEM format",
        },
        "--token-file": {
            "metavar": "FILE",
            "help": "accept only calls with a token for their task hub; each line of the file is "
            "the name of a task hub (or * for all) and a token",
        },
    },
    "The files are read again when they change. While a changed file cannot be used, its\n"
    "earlier content stays in force.",
)

_STORAGE = Group(
    "storage",
    {
        "--db": {
            "metavar": "FILE",
            "help": "keep everything in this SQLite file (default: keep it in memory only)",
        },
        "--synchronous": {
            "choices": ("full", "normal"),
            "default": _DEFAULTS.synchronous,
            "help": "full: acknowledged changes survive a power failure; normal: they survive a "
            "crash of the sidecar only, and commits are faster (default: %(default)s)",
        },
    },
)

_RETENTION = Group(
    "retention",
    {
        "--retain": {
            "type": _days,
            "metavar": "DAYS",
            "help": "purge orchestrations that ended more than this many days ago; "
            "fractions are allowed (default: keep them)",
        },
    },
)

_PROTOCOL = Group(
    "protocol",
    {
        "--dialect": {
            "choices": ("auto", "taskhub", "dapr"),
            "default": _DEFAULTS.dialect,
            "help": "the dialect of workers and clients that do not show which SDK they use: "
            "taskhub is Microsoft's, dapr is Dapr's; auto is Microsoft's until they show that "
            "they use Dapr's (default: %(default)s)",
        },
    },
)

_LIMITS = Group(
    "limits",
    {
        limits.flag(name): _limit_flag(name, meaning)
        for name, meaning in {
            "message_bytes": "bytes of one request",
            "payload_bytes": "bytes of one input, output, event, custom status or entity state",
            "id_length": "characters of the id of a new orchestration",
            "history_events": "events in the history of one execution",
            "history_bytes": "bytes of the history of one execution",
            "waiting": "events queued for one orchestration, or messages queued for one entity, "
            "when a client adds one",
            "instances": "orchestrations of one task hub that have not ended",
            "streams": "open streams of work items",
        }.items()
    },
    "The most that the sidecar accepts of each: a number, or `none` for no limit. Bytes may have a\n"
    "unit, as in 16MiB.",
)

_OPERATIONS = Group(
    "operations",
    {
        "--metrics-port": {
            "type": _port,
            "metavar": "PORT",
            "help": "publish metrics for Prometheus at http://ADDRESS:PORT/metrics; needs the "
            "extra durabletask-sidecar[metrics] (default: do not publish them)",
        },
        "--metrics-host": {
            "default": "127.0.0.1",
            "metavar": "ADDRESS",
            "help": "address to publish metrics on (default: %(default)s)",
        },
        "--drain-seconds": {
            "type": _seconds,
            "default": 5.0,
            "metavar": "SECONDS",
            "help": "on SIGTERM or SIGINT, stop handing out work and wait at most this many seconds "
            "for workers to complete what they have; a second signal ends the sidecar at once "
            "(default: %(default)g)",
        },
    },
)

_LOGS = Group(
    "logs",
    {
        "--log-level": {
            "choices": LEVELS,
            "default": LogOptions().level,
            "help": "lowest level that is written to standard error (default: %(default)s)",
        },
        "--log-format": {
            "choices": FORMATS,
            "default": LogOptions().format,
            "help": "text, or json with one object per line (default: %(default)s)",
        },
    },
)

FOR_EXEC = (_STORAGE, _RETENTION, _PROTOCOL, _LIMITS, _LOGS)
FOR_SERVE = (
    _NETWORK,
    _SECURITY,
    _STORAGE,
    _RETENTION,
    _PROTOCOL,
    _LIMITS,
    _OPERATIONS,
    _LOGS,
)


def for_exec(arguments: argparse.Namespace) -> SidecarOptions:
    """The options of a sidecar on a free port of the loopback interface."""
    return SidecarOptions(
        path=arguments.db,
        synchronous=arguments.synchronous,
        dialect=arguments.dialect,
        limits=Limits(**{name: getattr(arguments, f"max_{name}") for name in limits.names()}),
        retention=arguments.retain,
    )


def for_serve(arguments: argparse.Namespace) -> SidecarOptions:
    """All options of a sidecar; raise ConfigError when one needs another that is missing."""
    port, host = arguments.metrics_port, arguments.metrics_host
    return replace(
        for_exec(arguments),
        host=arguments.host,
        port=arguments.port,
        metrics=None if port is None else Metrics(port, host),
        security=_security(arguments),
    )


def for_logs(arguments: argparse.Namespace) -> LogOptions:
    return LogOptions(arguments.log_level, arguments.log_format)


def _security(arguments: argparse.Namespace) -> Security:
    try:
        return Security(
            arguments.tls_cert, arguments.tls_key, arguments.client_ca, arguments.token_file
        )
    except ValueError as error:
        raise ConfigError(str(error)) from error
