"""Which bearer token is for which task hub, as a file says it.

    # tokens of the sidecar          a comment; empty lines are ignored too
    orders   Yk3v…                   a task hub, and a token for it
    orders   p8Qd…                   a second one, while the first is being replaced
    *        Zz0m…                   for all task hubs: for administrators

The last word of a line is the token, so the name of a task hub may contain spaces. Tokens are
held as hashes. Errors name the number of a line and never quote it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from . import SecurityError, files

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from os import PathLike

ALL_HUBS = "*"

# What RFC 6750 calls b64token.
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
# The sidecar does not limit how often a caller may try, so tokens must be too long to guess.
MIN_LENGTH = 16


class TokenTableError(ValueError):
    """The text is not a table of tokens; the message names the line."""


@dataclass(frozen=True, slots=True)
class TokenTable:
    """Tokens, and the task hubs that each is for."""

    # All hashes have the same length, so comparing them reveals nothing about a token's length.
    _hubs: Mapping[bytes, frozenset[str]] = field(repr=False)

    def hubs_of(self, token: str) -> frozenset[str] | None:
        """The task hubs that the token is for; None when the token is unknown.

        The time it takes does not depend on how much of a token is right.
        """
        given = _hash(token)
        found = None
        for known, hubs in self._hubs.items():
            if hmac.compare_digest(known, given):
                found = hubs
        return found


def covers(hubs: frozenset[str], hub: str) -> bool:
    """Whether a token that is for these task hubs is for this one."""
    return hub in hubs or ALL_HUBS in hubs


def load(path: str | PathLike[str]) -> files.FileBacked[TokenTable]:
    """Read the table from a file; raise SecurityError when it cannot be used."""
    return files.FileBacked([path], lambda: _read(path))


def parse(text: str) -> TokenTable:
    """Read a table of tokens; raise TokenTableError when it is malformed or empty."""
    hubs: dict[bytes, frozenset[str]] = {}
    for hub, token in _entries(text):
        known = _hash(token)
        hubs[known] = hubs.get(known, frozenset()) | {hub}
    if not hubs:
        # A file that is written in place is empty for a moment.
        raise TokenTableError("there is no token in it, so every call would be refused")
    return TokenTable(hubs)


def _read(path: str | PathLike[str]) -> TokenTable:
    content = files.read_secret(path)
    try:
        return parse(content.decode())
    except UnicodeDecodeError:
        # Not chained: the UnicodeDecodeError holds the whole content.
        raise SecurityError(f"{path} is not text in UTF-8") from None
    except TokenTableError as error:
        raise SecurityError(f"{path}: {error}") from error


def _entries(text: str) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.strip().rsplit(maxsplit=1)
        if not words or words[0].startswith("#"):
            continue
        if len(words) == 1:
            raise TokenTableError(f"line {number} is not a task hub and a token")
        hub, token = words
        if not _TOKEN.fullmatch(token):
            raise TokenTableError(
                f"line {number}: a token may contain only letters, digits and . _ ~ + / -, "
                "and may end with ="
            )
        if len(token) < MIN_LENGTH:
            raise TokenTableError(
                f"line {number}: a token must have at least {MIN_LENGTH} characters, "
                "or it could be guessed"
            )
        yield hub, token


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()
