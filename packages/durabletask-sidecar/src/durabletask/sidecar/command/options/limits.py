"""Options for how much there may be of everything.

Knows nothing about who keeps to it.
"""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING

from durabletask.sidecar.engine import limits
from durabletask.sidecar.engine.limits import DEFAULT, Limits

if TYPE_CHECKING:
    from collections.abc import Callable

_UNITS = {"": 1, "kib": 1024, "mib": 1024**2, "gib": 1024**3}
_SIZE = re.compile(r"(\d{1,15}) *([a-z]*)", re.IGNORECASE)

_HELP = {
    "message_bytes": "bytes of one request",
    "payload_bytes": "bytes of one input, output, event, custom status or state",
    "id_length": "characters of the id of a new orchestration",
    "history_events": "events in the history of one execution of an orchestration",
    "history_bytes": "bytes of the same",
    "waiting": "events that wait for one orchestration, or messages for one entity, when a "
    "client adds one",
    "instances": "orchestrations of one task hub that have not ended",
    "streams": "streams of work items that are open at once",
}


def add(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "limits", "Each is a number, or `none`; bytes may be written as 16MiB."
    )
    for name in limits.names():
        default = getattr(DEFAULT, name)
        group.add_argument(
            limits.flag(name),
            type=_reader(name),
            default=default,
            metavar="SIZE" if _is_size(name) else "N",
            help=f"{_HELP[name]} (default: {_shown(name, default)})",
        )


def read(options: argparse.Namespace) -> Limits:
    return Limits(**{name: getattr(options, f"max_{name}") for name in limits.names()})


def _reader(name: str) -> Callable[[str], int | None]:
    """Reads the value of one flag, and says what is wrong with it as the limits do."""

    def read_one(text: str) -> int | None:
        value = None if text.lower() == "none" else _number(text, units=_is_size(name))
        try:
            Limits(**{name: value})
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error
        return value

    return read_one


def _number(text: str, *, units: bool) -> int:
    match = _SIZE.fullmatch(text.strip())
    unit = _UNITS.get(match[2].lower()) if match is not None else None
    if match is None or unit is None or (unit > 1 and not units):
        kind = "a number of bytes such as 1048576 or 1MiB" if units else "a number"
        raise argparse.ArgumentTypeError(f"{text!r} is not {kind}, nor none")
    return int(match[1]) * unit


def _is_size(name: str) -> bool:
    return name.endswith("_bytes")


def _shown(name: str, value: int) -> str:
    return f"{value // _UNITS['mib']}MiB" if _is_size(name) else str(value)
