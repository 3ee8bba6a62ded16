"""Query and list over real gRPC: pages, tokens and limits."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any

import grpc
import pytest

from durabletask.protocol import codec, dialects, messages, methods
from durabletask.sidecar.clock import ManualClock
from durabletask.sidecar.service import pages
from tests.builders.sidecar import Peer, serving

RECEIVE_LIMIT = 4 * 1024 * 1024


async def query(peer: Peer, **fields: Any) -> Any:
    request = messages.QueryInstancesRequest(query=messages.InstanceQuery(**fields))
    return await peer.call(methods.QUERY_INSTANCES, request)


def ids(response: Any) -> list[str]:
    return [state.instance_id for state in response.orchestration_state]


async def list_ids(peer: Peer, **fields: Any) -> Any:
    return await peer.call(methods.LIST_INSTANCE_IDS, messages.ListInstanceIdsRequest(**fields))


async def ended(peer: Peer, *names: str) -> None:
    for name in names:
        await peer.start("order", name)
        await peer.call(methods.TERMINATE_INSTANCE, messages.TerminateRequest(instance_id=name))


def opaque(*parts: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode()


async def test_a_query_for_nothing_in_particular_finds_all_on_one_page() -> None:
    async with serving() as peer:
        for name in ("a", "b", "c"):
            await peer.start("order", name)

        response = await peer.call(methods.QUERY_INSTANCES)

        assert ids(response) == ["a", "b", "c"]
        assert response.continuation_token is None


async def test_the_last_page_has_no_token_though_it_is_full() -> None:
    async with serving(clock=ManualClock()) as peer:
        for name in ("d", "c", "b", "a"):
            await peer.start("order", name)

        first = await query(peer, max_instance_count=2)
        last = await query(peer, max_instance_count=2, continuation_token=first.continuation_token)

        assert (ids(first), ids(last)) == (["a", "b"], ["c", "d"])
        assert first.continuation_token
        assert last.continuation_token is None


async def test_the_official_default_of_two_billion_is_a_page_size_like_any_other() -> None:
    async with serving() as peer:
        await peer.start()

        response = await query(peer, max_instance_count=2**31 - 1)

        assert ids(response) == ["a"]


@pytest.mark.parametrize(
    ("wanted", "size"), [(None, 1000), (0, 1000), (-1, 1000), (7, 7), (2**31 - 1, 1000)]
)
def test_a_page_has_at_most_a_thousand_items(wanted: int | None, size: int) -> None:
    def make(number: int) -> messages.OrchestrationState:
        return messages.OrchestrationState(instance_id=str(number))

    page = pages.page(range(1500), make, pages.size(wanted))

    assert len(page.items) == size
    assert page.last == size - 1


async def test_a_page_ends_before_it_is_too_large_to_be_received() -> None:
    async with serving() as peer:
        for name in "abcde":
            await peer.start("order", name, input="ü" * 600_000)

        found: list[str] = []
        sizes, token = [], None
        while not found or token:
            page = await query(peer, fetch_inputs_and_outputs=True, continuation_token=token)
            found += ids(page)
            sizes.append(len(codec.encode(page, dialects.TASKHUB)))
            token = page.continuation_token

        assert found == list("abcde")
        assert len(sizes) == 3
        assert max(sizes) < RECEIVE_LIMIT


async def test_what_is_larger_than_a_page_goes_out_alone() -> None:
    async with serving() as peer:
        for name, length in (("a", 1), ("b", 5_000_000), ("c", 1)):
            await peer.start("order", name, input="x" * length)

        found: list[list[str]] = []
        token = None
        while not found or token:
            page = await query(peer, fetch_inputs_and_outputs=True, continuation_token=token)
            found.append(ids(page))
            token = page.continuation_token

        assert found == [["a"], ["b"], ["c"]]


async def test_payloads_that_are_not_asked_for_make_no_page_shorter() -> None:
    async with serving() as peer:
        for name in ("a", "b"):
            await peer.start("order", name, input="x" * 2_000_000)

        page = await query(peer)

        assert ids(page) == ["a", "b"]
        assert [state.input for state in page.orchestration_state] == [None, None]


@pytest.mark.parametrize(
    ("hubs", "found"), [([], ["a"]), (["mine"], ["a"]), (["other", "mine"], ["a"]), (["other"], [])]
)
async def test_a_query_for_other_task_hubs_finds_nothing(hubs: list[str], found: list[str]) -> None:
    async with serving() as peer:
        mine = peer.of_hub("mine")
        await mine.start()
        await peer.of_hub("other").start("order", "b")

        response = await query(mine, task_hub_names=hubs)

        assert ids(response) == found


TIME = "2026-03-01T12:00:00+00:00"


@pytest.mark.parametrize(
    "token",
    [
        "0",
        "AAAA",
        "ünsinn",
        "=" * 8,
        opaque(),
        opaque(TIME),
        opaque(TIME, "a", "b"),
        opaque(TIME, 7),
        opaque("noon", "a"),
        opaque("2026-03-01T12:00:00", "a"),
        opaque(TIME, "\ud800"),
        base64.urlsafe_b64encode(b"[" * 100_000).decode(),
        base64.urlsafe_b64encode(b'{"0":"1","1":"2"}').decode(),
    ],
)
async def test_a_token_that_was_never_given_out_is_refused(token: str) -> None:
    async with serving() as peer:
        request = messages.QueryInstancesRequest(
            query=messages.InstanceQuery(continuation_token=token)
        )

        code, text = await peer.refusal(methods.QUERY_INSTANCES, request)

        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert "continuation token" in text


async def test_an_empty_token_is_none() -> None:
    async with serving() as peer:
        await ended(peer, "a")

        assert ids(await query(peer, continuation_token="")) == ["a"]
        assert (await list_ids(peer, last_instance_key="")).instance_ids == ["a"]


async def test_a_list_has_a_hundred_ids_unless_asked_otherwise() -> None:
    async with serving(clock=ManualClock()) as peer:
        names = [f"{n:03}" for n in range(101)]
        await ended(peer, *names)

        first = await list_ids(peer)
        rest = await list_ids(peer, last_instance_key=first.last_instance_key)
        whole = await list_ids(peer, page_size=101)

        assert (first.instance_ids, rest.instance_ids) == (names[:100], names[100:])
        assert whole.instance_ids == names
        assert rest.last_instance_key is whole.last_instance_key is None


async def test_a_key_of_a_list_has_the_last_id_in_it_whatever_that_is() -> None:
    async with serving(clock=ManualClock()) as peer:
        await ended(peer, "a|b", "c")

        first = await list_ids(peer, page_size=1)
        rest = await list_ids(peer, page_size=1, last_instance_key=first.last_instance_key)

        assert first.last_instance_key.endswith("|a|b")
        assert rest.instance_ids == ["c"]


@pytest.mark.parametrize("key", ["a", "|", "noon|a", "2026-03-01T12:00:00|a"])
async def test_a_key_of_a_list_that_was_never_given_out_is_refused(key: str) -> None:
    async with serving() as peer:
        request = messages.ListInstanceIdsRequest(last_instance_key=key)

        code, _ = await peer.refusal(methods.LIST_INSTANCE_IDS, request)

        assert code is grpc.StatusCode.INVALID_ARGUMENT


async def test_what_ends_while_somebody_pages_is_neither_repeated_nor_hides_others() -> None:
    clock = ManualClock()
    async with serving(clock=clock) as peer:
        for name in ("b", "c"):
            await ended(peer, name)
            clock.advance(timedelta(seconds=1))
        first = await list_ids(peer, page_size=1)

        purged = messages.PurgeInstancesRequest(instance_id="b")
        await peer.call(methods.PURGE_INSTANCES, purged)
        await ended(peer, "a")
        rest = await list_ids(peer, last_instance_key=first.last_instance_key)

        assert (first.instance_ids, rest.instance_ids) == (["b"], ["c", "a"])
