"""Read the options: a flag of the command line wins over the file, the file over the default.

A file says in TOML what flags say, under the same names. Each of its lines goes through the
parser as that flag, so what a flag may be is written down once.

Knows nothing about which options there are.
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
    """The file of options cannot be used; the text names it, and what is wrong with it."""


def parse(
    parser: argparse.ArgumentParser, groups: Sequence[Group], arguments: Sequence[str]
) -> argparse.Namespace:
    """What the groups of options are set to, and all else that the parser knows.

    Raises ConfigError or OSError for the file; what is wrong with the command line ends the
    program as argparse does it.
    """
    parser.add_argument(
        "--config", metavar="FILE", help="take options from this file in TOML, named as the flags"
    )
    for group in groups:
        group.add(parser)
    options = parser.parse_args(arguments)
    if options.config is None:
        return options
    return parser.parse_args(arguments, _read(options.config, groups))


class _FileParser(argparse.ArgumentParser):
    """A parser that raises, where others write how the command is used, and exit."""

    def error(self, message: str) -> NoReturn:
        # Names and values of flags are the file's too, but it has no dashes.
        raise ConfigError(message.replace("argument --", ""))


def _read(path: str, groups: Sequence[Group]) -> argparse.Namespace:
    parser = _FileParser(add_help=False, allow_abbrev=False)
    for group in groups:
        group.add(parser)
    options = argparse.Namespace()
    try:
        said = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        _check_once(said)
        for name, value in said.items():
            _set(options, name, value, parser)
    except (ConfigError, ValueError) as error:
        # What is not TOML, or no text at all, is a ValueError.
        raise ConfigError(f"{path}: {error}") from error
    return options


def _check_once(names: Iterable[str]) -> None:
    spelled: dict[str, str] = {}
    for name in names:
        before = spelled.setdefault(_dashed(name), name)
        if before != name:
            raise ConfigError(f"{before!r} and {name!r} are the same option")


def _set(
    options: argparse.Namespace, name: str, value: Any, parser: argparse.ArgumentParser
) -> None:
    for kind, what in ((dict, "table"), (list, "list")):
        # A list with nothing in it would say nothing, and leave out a protection without a word.
        if isinstance(value, kind):
            raise ConfigError(f"{name!r} is a {what}, and an option is one value")
    _, unknown = parser.parse_known_args([_flag(name, value)], options)
    if unknown and value is False:
        raise ConfigError(f"there is no option {name!r} that is true or false")
    # A name with = would be taken for a flag and its value.
    if unknown or "=" in name:
        raise ConfigError(f"there is no option {name!r}")


def _flag(name: str, value: Any) -> str:
    """The flag that says what a line of the file says."""
    flag = _dashed(name)
    if isinstance(value, bool):
        return f"--{flag}" if value else f"--no-{flag}"
    return f"--{flag}={value}"


def _dashed(name: str) -> str:
    return name.replace("_", "-")
