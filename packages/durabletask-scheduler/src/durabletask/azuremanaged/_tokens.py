"""Get tokens from a credential, keep them while they are good, and ask once at a time.

A token is asked for when the first call needs it and again 10 minutes before it expires.
While one caller asks, the others wait for that answer; a credential that fails is no reason
to give up a token that is still good. Tokens are in no log, text or `repr`.

Flights are kept by process, or by event loop, in place of a lock: one that another thread
held during a fork would stay locked in the child for ever.

Knows nothing about calls; the time is an argument, in seconds since 1970 as tokens have it.
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
"""Seconds before its end at which a token is renewed."""

PAUSE = 30.0
"""Seconds between two questions while there is a good token.

Credentials keep tokens too, up to 5 minutes before the end: until then each question in those
last 10 minutes brings the same token once more.
"""

PUBLIC_RESOURCE = "https://durabletask.io"
GOVERNMENT_RESOURCE = "https://durabletask.azure.us"
_GOVERNMENT_REGIONS = ("usgov", "usdod")
_DEFAULT = "/.default"

_log = logging.getLogger("durabletask.azuremanaged")


def scope_for(resource_id: str | None, *, region: str = "") -> str:
    """What a token is asked for: `resource_id`, else what is right for the Azure `region`."""
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
    """Raise TypeError for a credential that only an event loop can ask."""
    if inspect.iscoroutinefunction(credential.get_token):
        raise TypeError(
            "token_credential is one for asyncio: take the credential of that name from "
            "azure.identity, not from azure.identity.aio."
        )


@dataclass(frozen=True, slots=True)
class Token:
    """A token, and when to ask for the next one."""

    text: str = field(repr=False)
    expires_on: float
    renew_at: float

    def postponed(self, now: float) -> Token:
        """The same token, with which to make do for a while if it is still good."""
        return replace(self, renew_at=min(self.expires_on, now + PAUSE))


def token_of(answer: Any, now: float) -> Token:
    """The token that a credential gave."""
    token = Token(answer.token, answer.expires_on, answer.expires_on - RENEW_BEFORE)
    return token if now < token.renew_at else token.postponed(now)


class _Kept:
    """The token at hand, for threads and event loops alike: it is replaced as a whole."""

    def __init__(self, scope: str, now: Callable[[], float]) -> None:
        self._scope = scope
        self._now = now
        self._token: Token | None = None

    def _fresh(self) -> str | None:
        """The token at hand, if it is not time for another one."""
        token = self._token
        return token.text if token is not None and self._now() < token.renew_at else None

    def _keep(self, answer: Any) -> str:
        self._token = token = token_of(answer, self._now())
        return token.text

    def _make_do(self, error: Exception) -> str:
        """The token at hand, if it is still good; else raise `error`."""
        token, now = self._token, self._now()
        if token is None or now >= token.expires_on:
            raise error
        self._token = token.postponed(now)
        # Not its text: that is another's, and may hold anything.
        _log.warning(
            "A token for the scheduler could not be renewed (%s); the present one is good for "
            "%d seconds.",
            type(error).__name__,
            token.expires_on - now,
        )
        return token.text


class Tokens(_Kept):
    """Tokens for calls from threads."""

    def __init__(
        self, credential: TokenCredential, scope: str, *, now: Callable[[], float]
    ) -> None:
        refuse_for_asyncio(credential)
        super().__init__(scope, now)
        self._credential = credential
        self._flights: dict[int, Future[str]] = {}

    def get(self, timeout: float) -> str:
        """A good token; TimeoutError if another caller's question takes `timeout` seconds."""
        fresh = self._fresh()
        if fresh is not None:
            return fresh
        own: Future[str] = Future()
        flight = self._flights.setdefault(os.getpid(), own)
        if flight is own:
            self._fly(own)
        try:
            return flight.result(timeout)
        except TimeoutError:
            if flight.done():
                raise  # the credential's own
            raise _late(timeout) from None

    def _fly(self, flight: Future[str]) -> None:
        try:
            # Another flight may have landed since the caller looked.
            flight.set_result(self._fresh() or self._ask())
        except BaseException as error:  # noqa: BLE001 - raised for all who wait, this caller too
            flight.set_exception(error)
        finally:
            del self._flights[os.getpid()]

    def _ask(self) -> str:
        try:
            return self._keep(self._credential.get_token(self._scope))
        except Exception as error:  # noqa: BLE001 - credentials raise what they like
            return self._make_do(error)


class AsyncTokens(_Kept):
    """Tokens for calls from event loops; a credential for threads is asked on one."""

    def __init__(
        self,
        credential: AsyncTokenCredential | TokenCredential,
        scope: str,
        *,
        now: Callable[[], float],
    ) -> None:
        super().__init__(scope, now)
        self._question = _question(credential)
        self._flights: dict[asyncio.AbstractEventLoop, asyncio.Task[str]] = {}

    async def get(self, timeout: float) -> str:  # noqa: ASYNC109 - the call's own, and said in the text
        """A good token; TimeoutError if the credential takes `timeout` seconds for it."""
        fresh = self._fresh()
        if fresh is not None:
            return fresh
        flight = self._flight(asyncio.get_running_loop())
        # Unlike `await`, this leaves the flight to the others when a caller is cancelled.
        await asyncio.wait({flight}, timeout=timeout)
        if not flight.done():
            raise _late(timeout)
        return flight.result()

    def _flight(self, loop: asyncio.AbstractEventLoop) -> asyncio.Task[str]:
        flight = self._flights.get(loop)
        if flight is None or flight.done():
            flight = self._flights[loop] = loop.create_task(self._ask())
            flight.add_done_callback(lambda landed: self._landed(loop, landed))
        return flight

    def _landed(self, loop: asyncio.AbstractEventLoop, flight: asyncio.Task[str]) -> None:
        if self._flights.get(loop) is flight:
            del self._flights[loop]
        if not flight.cancelled():
            # Those who waited may be gone; then nobody else looks at the error.
            flight.exception()

    async def _ask(self) -> str:
        try:
            return self._keep(await self._question(self._scope))
        except Exception as error:  # noqa: BLE001 - credentials raise what they like
            return self._make_do(error)


def _question(
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
        f"The credential gave no token within {timeout:g} seconds: check that it can reach "
        "whoever issues tokens."
    )
