"""Let a call in only when its bearer token is for its task hub.

    no token, or an unknown one   UnauthenticatedError
    one of another task hub       PermissionDeniedError

A refusal depends on the call's metadata and the table of tokens alone, so it is the same
whether an instance, a task hub or even a method exists, and no request is read before. Hello
is refused, too: it names the engine, and a worker whose token is wrong learns that by its
first call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from durabletask.sidecar.security import token_table

from .calls import hub_of
from .errors import PermissionDeniedError, UnauthenticatedError

if TYPE_CHECKING:
    from durabletask.sidecar.security.token_table import TokenTable

Metadata = Mapping[str, "str | bytes"]
Tokens = Callable[[], "TokenTable"]
"""Returns the table that is in force now."""

# Characters of a task hub's name in the text of a refusal.
_MAX_SHOWN = 100


class Admission:
    """A call that was let in, and stays in only while its token is valid.

    Raises UnauthenticatedError or PermissionDeniedError when it is made, or later by `check`.
    """

    __slots__ = ("_metadata", "_table", "_tokens")

    def __init__(self, tokens: Tokens, metadata: Metadata) -> None:
        self._tokens = tokens
        self._metadata = metadata
        self._table = tokens()
        check(self._table, metadata)

    def check(self) -> None:
        """Raise an error if the token has become invalid: a wait may last for days."""
        table = self._tokens()
        # Once for each new table, not for each response.
        if table is not self._table:
            check(table, self._metadata)
            self._table = table


def check(table: TokenTable, metadata: Metadata) -> None:
    """Raise UnauthenticatedError or PermissionDeniedError unless the token is for the task hub."""
    hubs = table.hubs_of(_bearer(metadata.get("authorization")))
    if hubs is None:
        raise UnauthenticatedError(
            "the call needs a valid token: send it as the metadata authorization: Bearer TOKEN"
        )
    hub = hub_of(metadata)
    if not token_table.covers(hubs, hub):
        raise PermissionDeniedError(f"the token is not for the task hub {hub[:_MAX_SHOWN]!r}")


def _bearer(authorization: str | bytes | None) -> str:
    """The token; without one the empty text, which is no valid token."""
    scheme, _, token = str(authorization or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
