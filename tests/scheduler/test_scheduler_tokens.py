"""Tokens: their scope, how long they are used, and who requests them."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

import pytest
from azure.core.credentials import AccessToken

from durabletask.azuremanaged._tokens import (
    PAUSE,
    RENEW_BEFORE,
    AsyncTokens,
    Tokens,
    scope_for,
    token_of,
)
from tests.builders.scheduler import NOW, FakeAsyncCredential, FakeCredential, ManualTime
from tests.builders.transport import result_of

SCOPE = "https://durabletask.io/.default"
KINDS = pytest.mark.parametrize(
    ("tokens_class", "credential_class"),
    [(Tokens, FakeCredential), (AsyncTokens, FakeAsyncCredential), (AsyncTokens, FakeCredential)],
    ids=["threads", "asyncio", "asyncio-with-a-credential-for-threads"],
)


@pytest.mark.parametrize(
    ("resource_id", "region", "scope"),
    [
        (None, "", SCOPE),
        ("", "", SCOPE),
        (None, "westeurope", SCOPE),
        (None, "usgovvirginia", "https://durabletask.azure.us/.default"),
        (None, "USDodEast", "https://durabletask.azure.us/.default"),
        ("https://x.io", "usgovvirginia", "https://x.io/.default"),
        (" https://x.io/.default ", "", "https://x.io/.default"),
        ("https://x.io/", "", "https://x.io/.default"),
    ],
)
def test_the_scope_is_that_of_the_resource_or_of_the_region(resource_id, region, scope):
    assert scope_for(resource_id, region=region) == scope


@pytest.mark.parametrize("resource_id", [" ", "/.default", "/"])
def test_a_resource_without_a_name_is_refused(resource_id):
    with pytest.raises(ValueError, match="resource_id"):
        scope_for(resource_id)


@KINDS
async def test_no_token_is_requested_before_the_first_call(tokens_class, credential_class):
    credential = credential_class()
    tokens = tokens_class(credential, SCOPE, now=credential.time)
    assert credential.scopes == []

    token = await result_of(tokens.get(5))

    assert (token, credential.scopes) == ("secret-1", [SCOPE])


@KINDS
@pytest.mark.parametrize(("passed", "expected"), [(2999, "secret-1"), (3000, "secret-2")])
async def test_a_token_is_used_until_ten_minutes_before_it_expires(
    tokens_class, credential_class, passed, expected
):
    credential = credential_class(lifetime=3600)
    tokens = tokens_class(credential, SCOPE, now=credential.time)
    await result_of(tokens.get(5))

    credential.time.now += passed

    assert await result_of(tokens.get(5)) == expected


@KINDS
async def test_in_its_last_minutes_a_token_is_not_requested_at_each_call(
    tokens_class, credential_class
):
    """Credentials return a cached token until 5 minutes before it expires."""
    credential = credential_class(lifetime=RENEW_BEFORE - 100)
    tokens = tokens_class(credential, SCOPE, now=credential.time)
    await result_of(tokens.get(5))

    credential.time.now += PAUSE - 1
    still = await result_of(tokens.get(5))
    credential.time.now += 1
    later = await result_of(tokens.get(5))

    assert (still, later) == ("secret-1", "secret-2")


@KINDS
async def test_after_a_failed_renewal_a_valid_token_stays_in_use(
    tokens_class, credential_class, caplog
):
    credential = credential_class()
    tokens = tokens_class(credential, SCOPE, now=credential.time)
    await result_of(tokens.get(5))
    credential.time.now += 3100
    credential.failures.append(OSError("secret of another"))

    with caplog.at_level(logging.DEBUG):
        kept = [await result_of(tokens.get(5)) for _ in range(3)]

    assert kept == ["secret-1"] * 3
    assert len(credential.scopes) == 2  # once more, not thrice
    assert "OSError" in caplog.text
    assert "secret" not in caplog.text


@KINDS
async def test_an_expired_token_is_never_used(tokens_class, credential_class):
    credential = credential_class()
    tokens = tokens_class(credential, SCOPE, now=credential.time)
    await result_of(tokens.get(5))
    credential.time.now += 3600
    credential.failures.append(OSError("no way"))

    with pytest.raises(OSError, match="no way"):
        await result_of(tokens.get(5))
    assert await result_of(tokens.get(5)) == "secret-3"


def test_a_token_is_not_in_its_repr():
    assert "secret" not in repr(token_of(AccessToken("secret-1", int(NOW)), NOW))


class SlowCredential(FakeCredential):
    """A credential that answers when the test lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = threading.Event()
        self.may_answer = threading.Event()

    def get_token(self, *scopes: str, **kwargs: Any) -> AccessToken:
        self.asked.set()
        assert self.may_answer.wait(30)
        return super().get_token(*scopes, **kwargs)


def test_threads_wait_for_a_pending_request():
    credential = SlowCredential()
    tokens = Tokens(credential, SCOPE, now=credential.time)
    got: list[str] = []
    threads = [
        threading.Thread(target=lambda: got.append(tokens.get(30)), daemon=True) for _ in range(4)
    ]

    threads[0].start()
    assert credential.asked.wait(30)
    for thread in threads[1:]:
        thread.start()
    with pytest.raises(TimeoutError, match="returned no token within 0 seconds"):
        tokens.get(0)
    credential.may_answer.set()
    for thread in threads:
        thread.join(30)

    assert got == ["secret-1"] * 4
    assert credential.scopes == [SCOPE]


class HeldCredential(FakeAsyncCredential):
    """A credential that answers when the test lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.may_answer = asyncio.Event()

    async def get_token(self, *scopes: str, **kwargs: Any) -> AccessToken:
        await self.may_answer.wait()
        return await super().get_token(*scopes, **kwargs)


async def test_tasks_get_the_answer_of_a_pending_request_whose_task_was_cancelled():
    credential = HeldCredential()
    tokens = AsyncTokens(credential, SCOPE, now=credential.time)
    first, *others = [asyncio.create_task(tokens.get(30)) for _ in range(4)]
    await asyncio.sleep(0)

    first.cancel()
    with pytest.raises(TimeoutError, match="returned no token within 0 seconds"):
        await tokens.get(0)
    credential.may_answer.set()

    assert await asyncio.gather(*others) == ["secret-1"] * 3
    assert credential.scopes == [SCOPE]
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_tasks_that_wait_together_fail_together():
    credential = HeldCredential()
    credential.failures.append(OSError("no way"))
    tokens = AsyncTokens(credential, SCOPE, now=credential.time)
    waiting = [asyncio.create_task(tokens.get(30)) for _ in range(3)]
    await asyncio.sleep(0)

    credential.may_answer.set()
    results = await asyncio.gather(*waiting, return_exceptions=True)

    assert [str(result) for result in results] == ["no way"] * 3
    assert len(credential.scopes) == 1


def test_successive_loops_share_the_token():
    credential = FakeAsyncCredential(ManualTime())
    tokens = AsyncTokens(credential, SCOPE, now=credential.time)

    got = [asyncio.run(tokens.get(5)) for _ in range(2)]

    assert got == ["secret-1"] * 2


def test_a_request_that_ended_with_its_loop_does_not_block_the_next_loop():
    credential = HeldCredential()
    tokens = AsyncTokens(credential, SCOPE, now=credential.time)

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            await tokens.get(0)

    asyncio.run(give_up())
    credential.may_answer.set()

    assert asyncio.run(tokens.get(5)) == "secret-1"


def test_a_credential_for_asyncio_is_refused_for_threads():
    with pytest.raises(TypeError, match=r"azure\.identity"):
        Tokens(FakeAsyncCredential(), SCOPE, now=ManualTime())  # type: ignore[arg-type]
