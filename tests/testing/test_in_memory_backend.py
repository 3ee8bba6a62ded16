"""The backend of the official SDK's tests, on our engine."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from durabletask.client import OrchestrationStatus, TaskHubGrpcClient
from durabletask.testing import InMemoryOrchestrationBackend, create_test_backend
from durabletask.worker import TaskHubGrpcWorker
from tests.builders.sidecar import complete, connected, schedule

FAMILIES = {"127.0.0.1": socket.AF_INET, "[::1]": socket.AF_INET6}
# Against hangs only.
PATIENCE = 20


def greet(_ctx: Any, name: str) -> str:
    return f"Hello {name}!"


def greeting(ctx: Any, name: str) -> Any:
    return (yield ctx.call_activity(greet, input=name))


def waits_for_ever(ctx: Any, _: Any) -> Any:
    yield ctx.wait_for_external_event("never")


def counts(ctx: Any, to: int) -> Any:
    for number in range(to):
        yield ctx.call_activity(greet, input=str(number))


@pytest.fixture
def backend() -> Iterator[InMemoryOrchestrationBackend]:
    with InMemoryOrchestrationBackend(port=0) as running:
        yield running


@pytest.fixture
def worker(backend: InMemoryOrchestrationBackend) -> Iterator[TaskHubGrpcWorker]:
    with TaskHubGrpcWorker(host_address=backend.address) as hosting:
        hosting.add_activity(greet)
        for orchestrator in (greeting, waits_for_ever, counts):
            hosting.add_orchestrator(orchestrator)
        hosting.start()
        yield hosting


@pytest.fixture
def client(backend: InMemoryOrchestrationBackend) -> Iterator[TaskHubGrpcClient]:
    with TaskHubGrpcClient(host_address=backend.address) as connected_client:
        yield connected_client


def output_of_greeting(client: TaskHubGrpcClient) -> str | None:
    id = client.schedule_new_orchestration(greeting, input="Tokyo")
    state = client.wait_for_orchestration_completion(id, timeout=PATIENCE)
    return None if state is None else state.serialized_output


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port: int = unused.getsockname()[1]
        return port


def never_used_port() -> int:
    """One that not even a connection of another test lingers on."""
    with socket.socket() as plain:
        plain.bind(("127.0.0.1", 0))
        port: int = plain.getsockname()[1]
        return port


def listens(host: str, port: int) -> bool:
    with socket.socket(FAMILIES[host]) as caller:
        return caller.connect_ex((host.strip("[]"), port)) == 0


def test_the_official_pattern_runs() -> None:
    port = free_port()
    backend = create_test_backend(port, 10000)
    client = TaskHubGrpcClient(host_address=f"localhost:{port}")
    worker = TaskHubGrpcWorker(host_address=f"localhost:{port}")
    worker.add_orchestrator(greeting)
    worker.add_activity(greet)
    worker.start()

    assert output_of_greeting(client) == '"Hello Tokyo!"'

    worker.stop()
    client.close()
    backend.stop()
    backend.reset()


def test_the_official_parameters_have_their_order_and_their_defaults() -> None:
    backend = InMemoryOrchestrationBackend(5, free_port())

    address = backend.start()

    assert address == backend.address
    assert address.startswith("localhost:")
    backend.stop(0.5)


def test_with_port_0_it_says_which_port_it_has(backend: InMemoryOrchestrationBackend) -> None:
    host, _, port = backend.address.rpartition(":")

    assert host == "localhost"
    assert int(port) > 0
    assert backend.start() == backend.address


@pytest.mark.parametrize("host", FAMILIES)
async def test_it_listens_on_ipv4_and_ipv6(
    host: str, backend: InMemoryOrchestrationBackend
) -> None:
    async with connected(f"{host}:{port_of(backend.address)}") as peer:
        assert await peer.start(instance_id="a") == "a"


@pytest.mark.parametrize("host", FAMILIES)
def test_a_port_that_is_in_use_on_ipv4_or_ipv6_is_refused(
    host: str, capfd: pytest.CaptureFixture[str]
) -> None:
    family = FAMILIES[host]
    with socket.create_server((host.strip("[]"), 0), family=family) as other:
        backend = InMemoryOrchestrationBackend(port=other.getsockname()[1])

        with pytest.raises(OSError, match="cannot listen on"):
            backend.start()

    # gRPC would write to standard error what it thinks of it.
    assert capfd.readouterr().err == ""


def test_after_stop_a_port_that_nobody_was_connected_to_can_be_bound_as_if_new() -> None:
    port = never_used_port()
    backend = create_test_backend(port)

    backend.stop()

    for host, family in FAMILIES.items():
        with socket.socket(family) as plain:
            plain.bind((host.strip("[]"), port))
            plain.listen()


def test_when_stop_returns_others_can_listen_though_peers_were_connected(
    backend: InMemoryOrchestrationBackend, worker: TaskHubGrpcWorker, client: TaskHubGrpcClient
) -> None:
    # TCP remembers the connections for a minute, so the next to listen needs SO_REUSEADDR.
    # Servers set it as a matter of course; `create_server` does.
    assert output_of_greeting(client)
    port = port_of(backend.address)

    backend.stop()

    assert not any(listens(host, port) for host in FAMILIES)
    with ExitStack() as open_sockets:
        for host, family in FAMILIES.items():
            server = socket.create_server((host.strip("[]"), port), family=family)
            open_sockets.enter_context(server)


def test_after_a_restart_it_goes_on_where_it_stopped(
    backend: InMemoryOrchestrationBackend, worker: TaskHubGrpcWorker, client: TaskHubGrpcClient
) -> None:
    address = backend.address
    id = client.schedule_new_orchestration(greeting, input="Tokyo")
    client.wait_for_orchestration_completion(id, timeout=PATIENCE)

    backend.stop()
    assert backend.start() == address

    state = client.get_orchestration_state(id)
    assert state is not None
    assert state.serialized_output == '"Hello Tokyo!"'
    assert output_of_greeting(client) == '"Hello Tokyo!"'


async def test_reset_deletes_every_instance_of_every_hub(
    backend: InMemoryOrchestrationBackend,
) -> None:
    async with connected(backend.address) as peer, connected(backend.address, hub="b") as other:
        await peer.start(instance_id="a")
        await other.start(instance_id="a")

        backend.reset()

        assert await peer.state("a") is None
        assert await other.state("a") is None


async def test_reset_leaves_workers_connected(backend: InMemoryOrchestrationBackend) -> None:
    async with connected(backend.address) as peer:
        items = peer.work()
        await peer.start(instance_id="before")
        stale = await items.next()

        backend.reset()
        await peer.start(instance_id="after")

        item = await items.next()
        assert item.orchestrator_request.instance_id == "after"
        await peer.decide(stale, complete(1, '"stale"'))
        assert await peer.state("before") is None


async def test_a_turn_from_before_a_reset_does_not_reach_a_new_instance_of_the_same_id(
    backend: InMemoryOrchestrationBackend,
) -> None:
    async with connected(backend.address) as peer:
        items = peer.work()
        await peer.start(instance_id="a")
        stale = await items.next()

        backend.reset()
        await peer.start(instance_id="a")
        await peer.decide(stale, complete(1, '"stale"'))
        await peer.decide(await items.next(), complete(1, '"new"'))

        assert (await peer.completed("a")).output == '"new"'


def test_reset_while_stopped_deletes_too(
    backend: InMemoryOrchestrationBackend, client: TaskHubGrpcClient
) -> None:
    id = client.schedule_new_orchestration(greeting, input="Tokyo")

    backend.stop()
    backend.reset()
    backend.start()

    assert client.get_orchestration_state(id) is None


def test_the_wait_of_a_client_ends_with_the_reset(
    backend: InMemoryOrchestrationBackend, worker: TaskHubGrpcWorker, client: TaskHubGrpcClient
) -> None:
    id = client.schedule_new_orchestration(waits_for_ever)
    client.wait_for_orchestration_start(id, timeout=PATIENCE)

    backend.reset()

    assert client.wait_for_orchestration_completion(id, timeout=PATIENCE) is None


@pytest.mark.parametrize(
    ("steps", "status"),
    [(5, OrchestrationStatus.COMPLETED), (50, OrchestrationStatus.FAILED)],
)
def test_a_history_beyond_the_limit_fails_its_orchestration_and_names_the_limit(
    steps: int, status: OrchestrationStatus
) -> None:
    with (
        create_test_backend(port=0, max_history_size=30) as backend,
        TaskHubGrpcWorker(host_address=backend.address) as worker,
        TaskHubGrpcClient(host_address=backend.address) as client,
    ):
        worker.add_orchestrator(counts)
        worker.add_activity(greet)
        worker.start()
        id = client.schedule_new_orchestration(counts, input=steps)
        state = client.wait_for_orchestration_completion(id, timeout=PATIENCE)

    assert state is not None
    assert state.runtime_status is status
    if state.failure_details is not None:
        assert state.failure_details.error_type == "HistoryTooLong"
        assert "the limit is 30 (history_events" in state.failure_details.message


async def test_no_work_is_dispatched_for_a_history_that_is_too_long() -> None:
    """Not even what came in an earlier part of the answer, as large ones do."""
    with create_test_backend(port=0, max_history_size=5) as backend:
        async with connected(backend.address) as peer:
            items = peer.work()
            await peer.start(instance_id="a")
            await peer.decide(await items.next(), schedule(1))
            activity = await items.next()
            await peer.finish(activity)

            turn = await items.next()
            await peer.decide(turn, schedule(2), is_partial=True)
            await peer.decide(turn, schedule(3))

            assert (await peer.completed("a")).failure_details.error_type == "HistoryTooLong"
            await peer.start(instance_id="next")
            assert (await items.next()).orchestrator_request.instance_id == "next"


def test_it_may_be_stopped_twice_and_has_no_address_then() -> None:
    backend = create_test_backend(port=0)
    backend.stop()
    backend.stop()

    with pytest.raises(RuntimeError, match="is not running"):
        _ = backend.address


def test_importing_the_package_loads_neither_grpc_nor_the_messages() -> None:
    program = (
        "import sys, durabletask.testing\n"
        "print([name for name in sys.modules if name == 'grpc' or '.messages' in name])"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stdout == "[]\n"
