"""Which calls are let in, over real connections, by their tokens alone."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from durabletask.protocol import batch_stream, messages, methods
from durabletask.protocol.methods import Method
from durabletask.sidecar import ManualClock, Security
from durabletask.sidecar.instrumentation import NoInstrumentation
from durabletask.sidecar.network.authorization import Authorization
from durabletask.sidecar.security.token_table import parse
from durabletask.sidecar.server import Server
from tests.builders.security import (
    ADMIN,
    BILLING,
    ORDERS,
    TOKENS,
    Authorized,
    bearer,
    connected,
    replace,
)
from tests.builders.sidecar import PATIENCE, complete, schedule

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED
PERMISSION_DENIED = grpc.StatusCode.PERMISSION_DENIED

NEW = "new-orders-0123456789abcdef"

# Who is refused in the task hub `orders`, and how.
INTRUDERS = {
    "no token": ((), UNAUTHENTICATED),
    "the name of the hub": ((("taskhub", "orders"),), UNAUTHENTICATED),
    "a wrong token": (bearer("wrong-0123456789abcdef", "orders"), UNAUTHENTICATED),
    "a part of a token": (bearer(ORDERS[:-1], "orders"), UNAUTHENTICATED),
    "an empty token": (bearer("", "orders"), UNAUTHENTICATED),
    "another scheme": (
        (("authorization", f"Basic {ORDERS}"), ("taskhub", "orders")),
        UNAUTHENTICATED,
    ),
    "the token of another hub": (bearer(BILLING, "orders"), PERMISSION_DENIED),
    "a token, and the default hub": (bearer(ORDERS), PERMISSION_DENIED),
    "a token, and the name of all hubs": (bearer(ORDERS, "*"), PERMISSION_DENIED),
    "a token, and two hubs": (
        (*bearer(ORDERS, "orders"), ("taskhub", "billing")),
        PERMISSION_DENIED,
    ),
}
each_intruder = pytest.mark.parametrize(
    ("metadata", "code"), INTRUDERS.values(), ids=INTRUDERS.keys()
)


@dataclass
class Details:
    """What an interceptor learns of a call."""

    method: str
    invocation_metadata: Any


class Counted(NoInstrumentation):
    """Counts how calls were answered."""

    def __init__(self) -> None:
        self.answers: list[tuple[str, str]] = []

    def rpc_finished(self, method: str, status: str, started: float) -> None:
        self.answers.append((method, status))


async def nobody_calls(_details: Any) -> Any:
    raise AssertionError("a call was let in")


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    path = tmp_path / "tokens"
    replace(path, TOKENS)
    return path


@pytest.fixture
async def server(tokens: Path) -> AsyncIterator[Server]:
    server = Server(security=Security(token_file=tokens))
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def owner(server: Server) -> AsyncIterator[Authorized]:
    """Whoever may enter the task hub `orders`."""
    async with connected(server.address, None, *bearer(ORDERS, "orders")) as peer:
        yield peer


@each_intruder
async def test_calls_without_the_right_token_are_refused_whatever_they_call(
    server: Server, metadata: Any, code: grpc.StatusCode
) -> None:
    async with connected(server.address, None, *metadata) as intruder:
        seen = {method.name: await intruder.seen(method) for method in methods.ALL}

    assert {name: each.code for name, each in seen.items()} == dict.fromkeys(seen, code)
    # Neither the name of the engine nor anything else.
    assert {each[2:] for each in seen.values()} == {((), (), ())}


@each_intruder
async def test_refusals_do_not_reveal_whether_an_instance_exists(
    server: Server, owner: Authorized, metadata: Any, code: grpc.StatusCode
) -> None:
    await owner.start(instance_id="a")

    async with connected(server.address, None, *metadata) as intruder:
        there, missing = [
            await intruder.seen(methods.GET_INSTANCE, messages.GetInstanceRequest(instance_id=each))
            for each in ("a", "b")
        ]

    assert there == missing
    assert there.code is code


@each_intruder
async def test_refusals_do_not_reveal_whether_a_request_is_well_formed_or_a_method_exists(
    server: Server, metadata: Any, code: grpc.StatusCode
) -> None:
    async with connected(server.address, None, *metadata) as intruder:
        malformed = await intruder.seen(methods.START_INSTANCE, b"\xff no message")
        unheard_of = await intruder.seen(Method("UnheardOf", "Empty", "Empty"))

    assert malformed == unheard_of
    assert malformed.code is code


async def test_refused_calls_are_not_counted_under_names_that_callers_choose() -> None:
    counted = Counted()
    admission = Authorization(lambda: parse(TOKENS), counted)

    made_up = ("/TaskHubSidecarService/MadeUp", "made up", "/made.up/Exchange")
    for path in (methods.HELLO.path, batch_stream.PATH, *made_up):
        await admission.intercept_service(nobody_calls, Details(path, bearer(BILLING, "orders")))

    denied = "PERMISSION_DENIED"
    assert counted.answers == [
        ("Hello", denied),
        ("Exchange", denied),
        *(("unknown", denied) for _ in made_up),
    ]


async def test_a_refused_call_changes_nothing(server: Server, owner: Authorized) -> None:
    await owner.start(instance_id="a")

    async with connected(server.address, None, *bearer(BILLING, "orders")) as intruder:
        await intruder.seen(
            methods.TERMINATE_INSTANCE, messages.TerminateRequest(instance_id="a", recursive=True)
        )
        await intruder.seen(methods.DELETE_TASK_HUB)

    state = await owner.state("a")
    assert state.orchestration_status == messages.OrchestrationStatus.PENDING


async def test_the_request_of_a_refused_call_is_not_received(server: Server) -> None:
    async with connected(server.address) as intruder:
        too_large = await intruder.seen(methods.START_INSTANCE, bytes(80 * 1024 * 1024))

    assert too_large.code is UNAUTHENTICATED


async def test_a_token_admits_clients_and_workers_to_its_hub(owner: Authorized) -> None:
    await owner.call(methods.HELLO)
    await owner.start(instance_id="a")
    await owner.decide(await owner.work().next(), complete(1, '"done"'))

    assert (await owner.completed("a")).output == '"done"'


@pytest.mark.parametrize("hub", ["orders", "billing", "never-named-before", None])
async def test_a_token_for_all_hubs_admits_to_each(server: Server, hub: str | None) -> None:
    async with connected(server.address, None, *bearer(ADMIN, hub)) as admin:
        assert await admin.start(instance_id="a") == "a"


async def test_the_scheme_is_case_insensitive(server: Server) -> None:
    metadata = (("authorization", f"bearer {ORDERS}"), ("taskhub", "orders"))
    async with connected(server.address, None, *metadata) as owner:
        await owner.call(methods.HELLO)


async def test_health_checks_need_no_token(server: Server) -> None:
    async with connected(server.address) as probe:
        call: Any = probe.channel.unary_unary("/grpc.health.v1.Health/Check")
        assert await call(b"", timeout=PATIENCE) == b"\x08\x01"


async def test_a_forged_completion_token_does_not_reach_into_another_hub(
    server: Server, owner: Authorized
) -> None:
    await owner.start(instance_id="a")
    worker = owner.work()
    await owner.decide(await worker.next(), schedule(1))
    item = await worker.next()
    forged = messages.ActivityResponse(
        instance_id="a", task_id=1, result='"forged"', completion_token=item.completion_token
    )

    async with connected(server.address, None, *bearer(BILLING, "billing")) as stranger:
        await stranger.call(methods.COMPLETE_ACTIVITY_TASK, forged)
    await owner.finish(item, '"genuine"')

    turn = await worker.next()
    (event,) = [
        each.task_completed for each in turn.orchestrator_request.new_events if each.task_completed
    ]
    assert event.result == '"genuine"'


@pytest.mark.parametrize("does", ["complete", "abandon"])
async def test_no_turn_is_completed_from_another_hub(
    server: Server, owner: Authorized, does: str
) -> None:
    await owner.start(instance_id="a")
    item = await owner.work().next()

    async with connected(server.address, None, *bearer(BILLING, "billing")) as stranger:
        if does == "complete":
            await stranger.decide(item, complete(1, '"forged"'))
        else:
            request = messages.AbandonOrchestrationTaskRequest(
                completion_token=item.completion_token
            )
            await stranger.call(methods.ABANDON_ORCHESTRATION_TASK, request)
    await owner.decide(item, complete(1, '"genuine"'))

    assert (await owner.completed("a")).output == '"genuine"'


async def test_an_added_token_is_valid_at_once(server: Server, tokens: Path) -> None:
    async with connected(server.address, None, *bearer(NEW, "orders")) as late:
        assert (await late.seen(methods.HELLO)).code is UNAUTHENTICATED

        replace(tokens, f"{TOKENS}\norders {NEW}")

        assert (await late.seen(methods.HELLO)).code is grpc.StatusCode.OK


async def test_a_removed_token_is_refused_at_once(owner: Authorized, tokens: Path) -> None:
    assert (await owner.seen(methods.HELLO)).code is grpc.StatusCode.OK

    replace(tokens, f"orders {NEW}")

    assert (await owner.seen(methods.HELLO)).code is UNAUTHENTICATED


@pytest.mark.parametrize("broken", ["", "orders", None])
async def test_a_broken_file_leaves_the_tokens_in_force_and_is_logged_once(
    owner: Authorized, tokens: Path, broken: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    replace(tokens, broken)

    for _ in range(2):
        assert (await owner.seen(methods.HELLO)).code is grpc.StatusCode.OK

    (record,) = [each for each in caplog.records if each.levelno >= logging.WARNING]
    assert str(tokens) in record.message


async def test_a_worker_whose_token_was_removed_gets_no_more_work(
    server: Server, owner: Authorized, tokens: Path
) -> None:
    worker = owner.work()
    await worker.opened()
    replace(tokens, f"orders {NEW}")

    async with connected(server.address, None, *bearer(NEW, "orders")) as successor:
        await successor.start(instance_id="a")

        assert await worker.status() is UNAUTHENTICATED
        # What it would have been sent is there for others.
        await successor.decide(await successor.work().next(), complete(1, '"done"'))
        assert (await successor.completed("a")).output == '"done"'


async def test_a_wait_whose_token_was_removed_meanwhile_reveals_nothing(
    server: Server, owner: Authorized, tokens: Path
) -> None:
    await owner.start(instance_id="a")
    item = await owner.work().next()
    request = messages.GetInstanceRequest(instance_id="a", get_inputs_and_outputs=True)
    wait = asyncio.ensure_future(owner.seen(methods.WAIT_FOR_INSTANCE_COMPLETION, request))
    hello = asyncio.ensure_future(owner.seen(methods.HELLO))
    # The wait is let in before it: one connection keeps the order of its calls.
    assert (await hello).code is grpc.StatusCode.OK
    replace(tokens, f"orders {NEW}")

    async with connected(server.address, None, *bearer(NEW, "orders")) as successor:
        await successor.decide(item, complete(1, '"secret"'))
        assert (await successor.completed("a")).output == '"secret"'

    seen = await wait
    assert seen.code is UNAUTHENTICATED
    assert "secret" not in repr(seen)


async def test_an_idle_worker_whose_token_was_removed_is_disconnected_at_its_next_ping(
    tokens: Path,
) -> None:
    clock = ManualClock()
    server = Server(clock=clock, security=Security(token_file=tokens))
    await server.start()
    try:
        async with connected(server.address, None, *bearer(ORDERS, "orders")) as owner:
            worker = owner.work()
            await worker.opened()
            replace(tokens, f"orders {NEW}")

            clock.advance(timedelta(seconds=30))

            assert await worker.status() is UNAUTHENTICATED
    finally:
        await server.stop()


async def test_a_worker_whose_token_stays_valid_is_not_disturbed_by_a_new_file(
    owner: Authorized, tokens: Path
) -> None:
    worker = owner.work()
    await worker.opened()
    replace(tokens, f"orders {NEW}\norders {ORDERS}")

    await owner.start(instance_id="a")

    assert (await worker.next()).orchestrator_request.instance_id == "a"
