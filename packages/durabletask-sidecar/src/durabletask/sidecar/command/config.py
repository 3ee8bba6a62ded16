"""Read options from the command line and a file in TOML.

A flag on the command line wins over the file, and the file over the default. The file has the
same options under the same names. Each of its values is parsed as that flag, so what a value
may be is defined once.
"""

from __future__ import annotations

import argparse
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .options import Group


class ConfigError(Exception):
    """The file or its options cannot be used; the text says what is wrong."""


def parse(
    parser: argparse.ArgumentParser, groups: Sequence[Group], arguments: Sequence[str]
) -> argparse.Namespace:
    """Parse the options of these groups, and the other arguments of the parser.

    Raises ConfigError or OSError when the file cannot be used. An error on the command line
    exits the program, as argparse does.
    """
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="read options from this TOML file, where they have the names of the flags without the "
        "dashes in front, as in: port = 4001",
    )
    for group in groups:
        group.add(parser)
    options = parser.parse_args(arguments)
    if options.config is None:
        return options
    return parser.parse_args(arguments, _read(options.config, groups))


class _FileParser(argparse.ArgumentParser):
    """A parser that raises ConfigError instead of printing the usage and exiting."""

    def error(self, message: str) -> NoReturn:
        # The names of the options are the same in the file, without the dashes.
        raise ConfigError(message.replace("argument --", ""))


def _read(path: str, groups: Sequence[Group]) -> argparse.Namespace:
    parser = _FileParser(add_help=False, allow_abbrev=False)
    for group in groups:
        group.add(parser)
    options = argparse.Namespace()
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        _check_once(content)
        for name, value in content.items():
            _set(options, name, value, parser)
    except (ConfigError, ValueError) as error:
        # Invalid TOML and invalid UTF-8 raise a ValueError.
        raise ConfigError(f"{path}: {error}") from error
    return options


def _check_once(names: Iterable[str]) -> None:
    spellings: dict[str, str] = {}
    for name in names:
        before = spellings.setdefault(_dashed(name), name)
        if before != name:
            raise ConfigError(f"{before!r} and {name!r} are the same option")


def _set(
    options: argparse.Namespace, name: str, value: Any, parser: argparse.ArgumentParser
) -> None:
    for kind, what in ((dict, "table"), (list, "list")):
        # An empty list must not silently mean the default, which may turn a protection off.
        if isinstance(value, kind):
            raise ConfigError(f"{name!r} is a {what}, but an option has one value")
    _, unknown = parser.parse_known_args([_flag(name, value)], options)
    if unknown and value is False:
        raise ConfigError(f"there is no option {name!r} that can be true or false")
    # argparse would take a name with = for a flag and its value.
    if unknown or "=" in name:
        raise ConfigError(f"there is no option {name!r}")


def _flag(name: str, value: Any) -> str:
    """The flag that means the same as a line of the file."""
    flag = _dashed(name)
    if isinstance(value, bool):
        return f"--{flag}" if value else f"--no-{flag}"
    return f"--{flag}={value}"


def _dashed(name: str) -> str:
    return name.replace("_", "-")
