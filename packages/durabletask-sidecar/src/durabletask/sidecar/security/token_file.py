"""The table of tokens, from a file.

Knows nothing about what a table is made of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import SecurityError, secret_files, token_table
from .reloading import Reloading

if TYPE_CHECKING:
    from os import PathLike

    from .token_table import TokenTable


def reloading(path: str | PathLike[str]) -> Reloading[TokenTable]:
    """The table that the file has; raise SecurityError when it has none."""
    return Reloading([path], lambda: _read(path))


def _read(path: str | PathLike[str]) -> TokenTable:
    content = secret_files.read_secret(path)
    try:
        return token_table.parse(content.decode())
    except UnicodeDecodeError:
        # Not chained: that error holds all that was read.
        raise SecurityError(f"{path} is not text in UTF-8") from None
    except token_table.TokenTableError as error:
        raise SecurityError(f"{path}: {error}") from error
