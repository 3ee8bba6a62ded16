"""Which bearer token is for which task hub.

    # tokens of the sidecar          a comment; so are empty lines
    orders   Yk3v…                   a task hub, and a token for it
    orders   p8Qd…                   a second one, while the first is being replaced
    *        Zz0m…                   for all task hubs: for administrators

The last word of a line is the token, so a task hub's name may have spaces. Tokens are held
as hashes, and texts of errors have the number of a line, but nothing of what it says.

Pure. Knows nothing about files or calls.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ALL_HUBS = "*"

# What RFC 6750 calls b64token.
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
# Nothing slows down a caller that tries one token after the other, so a guess must be hopeless.
SHORTEST = 16


class TokenTableError(ValueError):
    """What was read is no table of tokens; the text names the line."""


@dataclass(frozen=True, slots=True)
class TokenTable:
    """Tokens, and the task hubs that each is for."""

    # Hashes are of one length, so that a comparison tells nothing about that of a token.
    _hubs: Mapping[bytes, frozenset[str]] = field(repr=False)

    def hubs_of(self, token: str) -> frozenset[str] | None:
        """The task hubs that the token is for; None when it is nobody's.

        How long that takes does not depend on how much of a token was guessed.
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


def parse(text: str) -> TokenTable:
    """Read a table of tokens; raise TokenTableError when it is none, or empty."""
    hubs: dict[bytes, frozenset[str]] = {}
    for hub, token in _entries(text):
        known = _hash(token)
        hubs[known] = hubs.get(known, frozenset()) | {hub}
    if not hubs:
        # Also what a file is for a moment that is written in place.
        raise TokenTableError("there is no token in it, so nobody could call")
    return TokenTable(hubs)


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
                f"line {number}: a token is of letters, digits and . _ ~ + / - (then =) only"
            )
        if len(token) < SHORTEST:
            raise TokenTableError(
                f"line {number}: a token has {SHORTEST} characters or more, or it can be guessed"
            )
        yield hub, token


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()
