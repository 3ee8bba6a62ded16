"""The metrics of a running sidecar, as Prometheus scrapes them."""

from __future__ import annotations

import asyncio
import re
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from durabletask.protocol import messages, methods
from durabletask.sidecar import Metrics
from durabletask.sidecar.clock import ManualClock
from durabletask.sidecar.commit.committer import Committer
from durabletask.sidecar.engine.commands import StartInstance
from durabletask.sidecar.host import Host
from durabletask.sidecar.network.http_page import HttpPage
from durabletask.sidecar.operations.prometheus import PrometheusInstrumentation
from durabletask.sidecar.server import Server
from durabletask.sidecar.store import StoreError
from durabletask.sidecar.store.memory import MemoryStore
from tests.builders.command import address_in, running
from tests.builders.sidecar import PATIENCE, Peer, complete, connected, failed, schedule, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

WORK = "durabletask_work_items_total"
WAITING = "durabletask_work_items_waiting"
LEASES = "durabletask_leases"
STREAMS = "durabletask_streams"
RPCS = "durabletask_rpcs_total"


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    async with serving(metrics=Metrics(0)) as peer:
        yield peer


async def fetch(address: str, request: str) -> tuple[str, str]:
    """Send the request and its empty line; return the head and body of the response."""
    host, _, port = address.rpartition(":")
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"{request}\r\n\r\n".encode())
        answer = (await reader.read()).decode()
        writer.close()
        await writer.wait_closed()
    head, _, body = answer.partition("\r\n\r\n")
    return head, body


class Scrape:
    """What one scrape found."""

    def __init__(self, body: str) -> None:
        self._samples = [
            sample for family in text_string_to_metric_families(body) for sample in family.samples
        ]

    def value(self, name: str, **labels: str) -> float:
        found = [each.value for each in self._samples if each[:2] == (name, labels)]
        assert len(found) == 1, (name, labels, found)
        return found[0]

    def total(self, name: str) -> float:
        return sum(each.value for each in self._samples if each.name == name)

    def labels(self) -> set[str]:
        return {label for sample in self._samples for label in sample.labels}

    def work(self, kind: str) -> dict[str, float]:
        """How many work items of that kind came back, by outcome, without zeros."""
        counts = {
            each.labels["outcome"]: each.value
            for each in self._samples
            if each.name == WORK and each.labels["kind"] == kind
        }
        return {outcome: count for outcome, count in counts.items() if count}


async def scrape(peer: Peer) -> Scrape:
    assert peer.server.metrics_address is not None
    head, body = await fetch(peer.server.metrics_address, "GET /metrics HTTP/1.1\r\nHost: x")
    assert head.startswith("HTTP/1.1 200 OK")
    return Scrape(body)


async def scrape_after_calls(peer: Peer, count: int) -> Scrape:
    """Scrape until so many calls are counted: a call is counted after its caller has the answer."""
    async with asyncio.timeout(PATIENCE):
        while (seen := await scrape(peer)).total(RPCS) < count:
            pass
    return seen


async def a_turn(peer: Peer, instance_id: str = "a") -> tuple[Any, Any]:
    """A worker's stream, and the first turn of a new instance on it."""
    items = peer.work()
    await peer.start(instance_id=instance_id)
    return items, await items.next()


async def test_waiting_work_items_are_counted_by_kind(peer: Peer) -> None:
    await peer.start(instance_id="a")
    await peer.start(instance_id="b")

    seen = await scrape(peer)

    assert (seen.value(WAITING, kind="orchestration"), seen.value(WAITING, kind="activity")) == (
        2,
        0,
    )
    assert (seen.value(LEASES, kind="orchestration"), seen.value(STREAMS)) == (0, 0)


async def test_leased_work_items_are_counted_by_kind(peer: Peer) -> None:
    items, turn = await a_turn(peer)
    await peer.decide(turn, schedule(1), schedule(2))
    await items.next()

    seen = await scrape(peer)

    assert (seen.value(LEASES, kind="orchestration"), seen.value(LEASES, kind="activity")) == (0, 2)
    assert (seen.value(WAITING, kind="activity"), seen.value(STREAMS)) == (0, 1)


async def test_completed_work_items_are_counted(peer: Peer) -> None:
    items, turn = await a_turn(peer)
    await peer.decide(turn, schedule(1))
    await peer.finish(await items.next(), '"done"')
    await peer.decide(await items.next(), complete(2))

    seen = await scrape(peer)

    assert (seen.work("orchestration"), seen.work("activity")) == (
        {"completed": 2},
        {"completed": 1},
    )


async def test_failed_work_items_are_counted_as_failed(peer: Peer) -> None:
    details = messages.TaskFailureDetails(error_type="Error", error_message="no")
    items, turn = await a_turn(peer)
    await peer.decide(turn, schedule(1))
    await peer.finish(await items.next(), failure_details=details)
    await peer.decide(await items.next(), failed(2, details))

    seen = await scrape(peer)

    assert seen.work("orchestration") == {"completed": 1, "failed": 1}
    assert seen.work("activity") == {"failed": 1}


async def test_operations_of_entities_are_counted(peer: Peer) -> None:
    items = peer.work(max_concurrent_entity_work_items=1)
    signal = messages.SignalEntityRequest(instance_id="@counter@a", name="add", request_id="1")
    await peer.call(methods.SIGNAL_ENTITY, signal)
    item = await items.next()
    success = messages.OperationResultSuccess()
    await peer.call(
        methods.COMPLETE_ENTITY_TASK,
        messages.EntityBatchResult(
            results=[messages.OperationResult(success=success)],
            completion_token=item.completion_token,
        ),
    )

    assert (await scrape(peer)).work("entity") == {"completed": 1}


async def test_abandoned_work_items_are_counted_as_abandoned(peer: Peer) -> None:
    _, turn = await a_turn(peer)
    request = messages.AbandonOrchestrationTaskRequest(completion_token=turn.completion_token)
    await peer.call(methods.ABANDON_ORCHESTRATION_TASK, request)

    assert (await scrape(peer)).work("orchestration") == {"abandoned": 1}


async def test_work_items_of_a_disconnected_worker_are_counted_as_lost(peer: Peer) -> None:
    items, turn = await a_turn(peer)
    other = peer.work()
    await other.opened()

    items.cancel()
    again = await other.next()

    assert again.orchestrator_request.instance_id == turn.orchestrator_request.instance_id
    assert (await scrape(peer)).work("orchestration") == {"lost": 1}


async def test_a_turn_that_is_completed_twice_is_counted_once(peer: Peer) -> None:
    _, turn = await a_turn(peer)

    await peer.decide(turn, complete(1))
    await peer.decide(turn, complete(1))

    assert (await scrape(peer)).work("orchestration") == {"completed": 1}


async def test_an_activity_that_is_completed_twice_is_counted_once(peer: Peer) -> None:
    items, turn = await a_turn(peer)
    await peer.decide(turn, schedule(1))
    activity = await items.next()

    await peer.finish(activity)
    # Has no lease any more. As after a restart it is accepted unless there is a result already.
    await peer.finish(activity)

    assert (await scrape(peer)).work("activity") == {"completed": 1}


async def test_calls_are_counted_by_method_and_status(peer: Peer) -> None:
    await peer.start()
    with pytest.raises(grpc.aio.AioRpcError):
        await peer.start()
    await peer.refusal(methods.GET_INSTANCE, b"\xff")

    seen = await scrape_after_calls(peer, 3)

    assert seen.value(RPCS, method="StartInstance", status="OK") == 1
    assert seen.value(RPCS, method="StartInstance", status="ALREADY_EXISTS") == 1
    assert seen.value(RPCS, method="GetInstance", status="INVALID_ARGUMENT") == 1
    assert seen.value("durabletask_rpc_seconds_count", method="StartInstance") == 2


async def test_a_stream_is_counted_when_it_ends(peer: Peer) -> None:
    items, _ = await a_turn(peer)
    items.cancel()

    seen = await scrape_after_calls(peer, 2)
    assert seen.value(RPCS, method="GetWorkItems", status="CANCELLED") == 1


async def test_commits_are_timed(peer: Peer) -> None:
    await peer.start(instance_id="a")
    await peer.start(instance_id="b")

    seen = await scrape(peer)

    assert seen.value("durabletask_commit_seconds_count") == 2
    assert seen.value("durabletask_commit_seconds_sum") > 0


async def test_submissions_that_share_a_commit_are_counted_together() -> None:
    host = Host(Committer(MemoryStore()), ManualClock(), lambda: "id")
    counts = PrometheusInstrumentation(host.dispatcher.stats)
    host.instrument(counts)

    await asyncio.gather(*(host.execute("h", str(each), StartInstance("x")) for each in range(3)))

    seen = Scrape(generate_latest(counts.registry).decode())
    assert seen.value("durabletask_commit_submissions_count") == 1
    assert seen.value("durabletask_commit_submissions_sum") == 3
    host.close()


async def test_a_commit_that_fails_is_counted() -> None:
    class Full(MemoryStore):
        def commit(self, changes: Any) -> None:
            raise StoreError("the disk is full")

    async with serving(store=Full(), metrics=Metrics(0)) as peer:
        with pytest.raises(grpc.aio.AioRpcError):
            await peer.start()

        seen = await scrape(peer)

    assert seen.value("durabletask_failed_commits_total") == 1
    assert seen.value("durabletask_commit_seconds_count") == 0


async def test_no_name_that_users_choose_is_on_the_page(peer: Peer) -> None:
    for number in range(5):
        other = peer.of_hub(f"secret-hub-{number}")
        await other.start(f"secret-name-{number}", f"secret-id-{number}")
    call: Any = peer.channel.unary_unary("/TaskHubSidecarService/secret-method")
    await call(b"").code()

    assert peer.server.metrics_address is not None
    _, body = await fetch(peer.server.metrics_address, "GET /metrics HTTP/1.1")

    assert "secret" not in body
    assert Scrape(body).labels() <= {"kind", "outcome", "method", "status", "le", "version"}


async def test_openmetrics_is_served_if_the_client_accepts_it(peer: Peer) -> None:
    assert peer.server.metrics_address is not None
    accept = "accept: application/openmetrics-text; version=1.0.0"
    head, body = await fetch(peer.server.metrics_address, f"GET / HTTP/1.1\r\n{accept}")

    assert "Content-Type: application/openmetrics-text" in head
    assert body.endswith("# EOF\n")


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        ("GET /metrics?name=x HTTP/1.1", 200),
        ("HEAD /metrics HTTP/1.1", 200),
        ("GET /metrics HTTP/1.1\r\nAccept: text/plain; version=x", 200),
        ("GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text; version=x.y", 200),
        ("GET /other HTTP/1.1", 404),
        ("POST /metrics HTTP/1.1", 405),
        ("", 405),
        ("\x00\xff", 405),
    ],
)
async def test_each_request_has_its_response(peer: Peer, request_line: str, status: int) -> None:
    assert peer.server.metrics_address is not None
    head, _ = await fetch(peer.server.metrics_address, request_line)

    assert head.startswith(f"HTTP/1.1 {status} ")


async def test_an_endless_request_gets_no_response(peer: Peer) -> None:
    assert peer.server.metrics_address is not None
    head, _ = await fetch_or_reset(peer.server.metrics_address, "x" * 100_000)

    assert head == ""


async def fetch_or_reset(address: str, request: str) -> tuple[str, str]:
    try:
        return await fetch(address, request)
    except ConnectionError:
        return "", ""


async def test_silent_connections_are_limited_and_delay_no_other(peer: Peer) -> None:
    assert peer.server.metrics_address is not None
    host, _, port = peer.server.metrics_address.rpartition(":")
    silent = [await asyncio.open_connection(host, int(port)) for _ in range(50)]
    ended = [asyncio.ensure_future(reader.read()) for reader, _ in silent]
    # Less than the timeout of silent connections.
    done, _ = await asyncio.wait(ended, return_when=asyncio.FIRST_COMPLETED, timeout=5)
    assert done

    async with asyncio.timeout(5):
        await peer.server.stop()
        await asyncio.gather(*ended, return_exceptions=True)
    for _, writer in silent:
        writer.close()


async def test_the_page_is_gone_when_the_server_has_stopped() -> None:
    async with serving(metrics=Metrics(0)) as peer:
        assert peer.server.metrics_address is not None
        host, _, port = peer.server.metrics_address.rpartition(":")

    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(host, int(port))


async def test_the_command_prints_the_address_of_its_metrics() -> None:
    with running("--port", "0", "--metrics-port", "0") as (_, line):
        async with connected(address_in(line)) as peer:
            await peer.start()
        found = re.search(r"metrics: http://(\S+)/metrics", line)
        assert found, line

        _, body = await fetch(found.group(1), "GET /metrics HTTP/1.1")

    assert Scrape(body).value(RPCS, method="StartInstance", status="OK") == 1


async def test_without_a_port_no_metrics_are_published() -> None:
    async with serving() as peer:
        assert peer.server.metrics_address is None


async def test_a_port_in_use_keeps_the_server_from_starting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        server = Server(metrics=Metrics(other.getsockname()[1]))

        with pytest.raises(OSError, match="cannot listen on"):
            await server.start()


async def test_a_server_that_cannot_start_stops_publishing_metrics() -> None:
    class Unreadable(MemoryStore):
        def due(self, after: Any, until: Any) -> Any:
            raise StoreError("unreadable")

    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    server = Server(store=Unreadable(), metrics=Metrics(port))

    with pytest.raises(StoreError):
        await server.start()

    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


# More than connections that there may be.
MANY = 30


async def test_a_page_that_fails_costs_its_connection_and_no_other() -> None:
    asked = 0

    def page(_accept: str) -> tuple[bytes, str]:
        nonlocal asked
        asked += 1
        if asked <= MANY:
            raise RuntimeError("cannot count")
        return b"counts", "text/plain"

    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    endpoint = HttpPage("127.0.0.1", 0, page)
    await endpoint.start()
    answers = [await scraped(endpoint.address) for _ in range(MANY + 1)]
    await endpoint.stop()

    assert answers[:-1] == [b""] * MANY
    assert answers[-1].endswith(b"counts")


async def scraped(address: str) -> bytes:
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /metrics HTTP/1.1\r\n\r\n")
    async with asyncio.timeout(PATIENCE):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""
        finally:
            writer.close()


def test_without_prometheus_client_the_error_names_the_extra() -> None:
    program = (
        "import sys; sys.modules['prometheus_client'] = None\n"
        "from durabletask.sidecar.__main__ import main\n"
        "sys.exit(main(['--port', '0', '--metrics-port', '0']))"
    )

    ended = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert "durabletask-sidecar[metrics]" in ended.stderr


def test_prometheus_client_is_not_loaded_without_metrics() -> None:
    program = (
        "import sys; from durabletask.sidecar.server import Server\n"
        "Server(); print('prometheus_client' in sys.modules)"
    )

    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert ended.stdout == "False\n"
