"""Get tokens from a credential, keep them while they are valid, and ask once at a time.

A token is requested when the first call needs it and again 10 minutes before it expires. While
one caller asks, the others wait for the same answer. If the credential fails, the present token
is used as long as it is valid. Tokens are in no log, text or `repr`.

Pending requests are kept by process, or by event loop, in place of a lock: a lock that another
thread held during a fork would stay locked in the child for ever.

The time is an argument, in seconds since 1970 as in the tokens.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from azure.core.credentials import TokenCredential
    from azure.core.credentials_async import AsyncTokenCredential

RENEW_BEFORE = 600.0
"""Seconds before its expiry at which a token is renewed."""

PAUSE = 30.0
"""Seconds between two requests while there is a valid token.

Credentials cache tokens too, up to 5 minutes before the expiry: until then each request in the
last 10 minutes returns the same token.
"""

PUBLIC_RESOURCE = "https://durabletask.io"
GOVERNMENT_RESOURCE = "https://durabletask.azure.us"
_GOVERNMENT_REGIONS = ("usgov", "usdod")
_DEFAULT = "/.default"

_log = logging.getLogger("durabletask.azuremanaged")


def scope_for(resource_id: str | None, *, region: str = "") -> str:
    """The scope of a token: that of `resource_id`, else that of the Azure `region`."""
    if not resource_id:
        is_government = region.lower().startswith(_GOVERNMENT_REGIONS)
        return (GOVERNMENT_RESOURCE if is_government else PUBLIC_RESOURCE) + _DEFAULT
    resource = resource_id.strip().removesuffix(_DEFAULT).rstrip("/")
    if not resource:
        raise ValueError(
            f"resource_id is {resource_id!r}, which names no resource: give one such as "
            f"'{PUBLIC_RESOURCE}', or None."
        )
    return resource + _DEFAULT


def refuse_for_asyncio(credential: TokenCredential) -> None:
    """Raise TypeError for a credential that works on an event loop only."""
    if inspect.iscoroutinefunction(credential.get_token):
        raise TypeError(
            "token_credential is for asyncio: use the credential of the same name from "
            "azure.identity, not from azure.identity.aio."
        )


@dataclass(frozen=True, slots=True)
class Token:
    """A token, and when to request the next one."""

    text: str = field(repr=False)
    expires_on: float
    renew_at: float

    def postponed(self, now: float) -> Token:
        """The same token, to be renewed after a pause, or when it expires."""
        return replace(self, renew_at=min(self.expires_on, now + PAUSE))


def token_of(answer: Any, now: float) -> Token:
    """The token in a credential's answer."""
    token = Token(answer.token, answer.expires_on, answer.expires_on - RENEW_BEFORE)
    return token if now < token.renew_at else token.postponed(now)


class _TokenCache:
    """The present token, for threads and event loops alike: it is replaced as a whole."""

    def __init__(self, scope: str, now: Callable[[], float]) -> None:
        self._scope = scope
        self._now = now
        self._token: Token | None = None

    def _fresh(self) -> str | None:
        """The present token, unless it is time to renew it."""
        token = self._token
        return token.text if token is not None and self._now() < token.renew_at else None

    def _keep(self, answer: Any) -> str:
        self._token = token = token_of(answer, self._now())
        return token.text

    def _after_failure(self, error: Exception) -> str:
        """The present token, if it is still valid; else raise `error`."""
        token, now = self._token, self._now()
        if token is None or now >= token.expires_on:
            raise error
        self._token = token.postponed(now)
        # The error's text is not logged: it is the credential's, and may contain secrets.
        _log.warning(
            "The token for the scheduler could not be renewed (%s); the present one is valid for "
            "%d more seconds",
            type(error).__name__,
            token.expires_on - now,
        )
        return token.text


class Tokens(_TokenCache):
    """Tokens for calls from threads."""

    def __init__(
        self, credential: TokenCredential, scope: str, *, now: Callable[[], float]
    ) -> None:
        refuse_for_asyncio(credential)
        super().__init__(scope, now)
        self._credential = credential
        self._requests: dict[int, Future[str]] = {}

    def get(self, timeout: float) -> str:
        """A valid token; TimeoutError if another caller's request takes `timeout` seconds."""
        fresh = self._fresh()
        if fresh is not None:
            return fresh
        own: Future[str] = Future()
        pending = self._requests.setdefault(os.getpid(), own)
        if pending is own:
            self._request(own)
        try:
            return pending.result(timeout)
        except TimeoutError:
            if pending.done():
                raise  # the credential's own
            raise _late(timeout) from None

    def _request(self, pending: Future[str]) -> None:
        try:
            # Another request may have succeeded since the caller looked.
            pending.set_result(self._fresh() or self._ask())
        except BaseException as error:  # noqa: BLE001 - raised for all who wait, this caller too
            pending.set_exception(error)
        finally:
            del self._requests[os.getpid()]

    def _ask(self) -> str:
        try:
            return self._keep(self._credential.get_token(self._scope))
        except Exception as error:  # noqa: BLE001 - credentials raise what they like
            return self._after_failure(error)


class AsyncTokens(_TokenCache):
    """Tokens for calls from event loops; a credential for threads is asked on one."""

    def __init__(
        self,
        credential: AsyncTokenCredential | TokenCredential,
        scope: str,
        *,
        now: Callable[[], float],
    ) -> None:
        super().__init__(scope, now)
        self._get_token = _getter(credential)
        self._requests: dict[asyncio.AbstractEventLoop, asyncio.Task[str]] = {}

    async def get(self, timeout: float) -> str:  # noqa: ASYNC109 - the call's own, and said in the text
        """A valid token; TimeoutError if the credential takes `timeout` seconds for it."""
        fresh = self._fresh()
        if fresh is not None:
            return fresh
        pending = self._pending(asyncio.get_running_loop())
        # Unlike `await`, this does not cancel the request when its caller is cancelled.
        await asyncio.wait({pending}, timeout=timeout)
        if not pending.done():
            raise _late(timeout)
        return pending.result()

    def _pending(self, loop: asyncio.AbstractEventLoop) -> asyncio.Task[str]:
        pending = self._requests.get(loop)
        if pending is None or pending.done():
            pending = self._requests[loop] = loop.create_task(self._ask())
            pending.add_done_callback(lambda ended: self._ended(loop, ended))
        return pending

    def _ended(self, loop: asyncio.AbstractEventLoop, ended: asyncio.Task[str]) -> None:
        if self._requests.get(loop) is ended:
            del self._requests[loop]
        if not ended.cancelled():
            # All callers may be cancelled; asyncio warns of an exception that nobody retrieved.
            ended.exception()

    async def _ask(self) -> str:
        try:
            return self._keep(await self._get_token(self._scope))
        except Exception as error:  # noqa: BLE001 - credentials raise what they like
            return self._after_failure(error)


def _getter(
    credential: AsyncTokenCredential | TokenCredential,
) -> Callable[[str], Awaitable[Any]]:
    get_token: Callable[[str], Any] = credential.get_token
    if inspect.iscoroutinefunction(get_token):
        return get_token

    async def on_a_thread(scope: str) -> Any:
        return await asyncio.to_thread(get_token, scope)

    return on_a_thread


def _late(timeout: float) -> TimeoutError:
    return TimeoutError(
        f"The credential returned no token within {timeout:g} seconds: check that it can reach "
        "the service that issues tokens."
    )
