"""Which connections are accepted, by their certificates."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import grpc
import pytest

from durabletask.protocol import messages, methods
from durabletask.sidecar import Security
from durabletask.sidecar.network import listening
from durabletask.sidecar.server import Server
from tests.builders.security import ORDERS, TOKENS, Authority, bearer, connected, replace

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

OK = grpc.StatusCode.OK
# What clients report when no connection was made.
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def clients(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "clients")


@pytest.fixture
def stranger(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "stranger")


@pytest.fixture
async def server(authority: Authority) -> AsyncIterator[Server]:
    """Serves TLS without client certificates."""
    server = Server(security=Security(*authority.certify()))
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def mutual(authority: Authority, clients: Authority) -> AsyncIterator[Server]:
    """Serves TLS only to clients with a certificate."""
    server = Server(security=Security(*authority.certify(), clients.file))
    await server.start()
    yield server
    await server.stop()


async def greeted(server: Server, credentials: grpc.ChannelCredentials | None) -> grpc.StatusCode:
    async with connected(server.address, credentials) as peer:
        return (await peer.seen(methods.HELLO)).code


async def test_a_client_that_trusts_the_authority_is_served(
    server: Server, authority: Authority
) -> None:
    async with connected(server.address, authority.trusted()) as peer:
        assert await peer.start(instance_id="a") == "a"


async def test_a_client_that_trusts_another_authority_does_not_call(
    server: Server, stranger: Authority
) -> None:
    assert await greeted(server, stranger.trusted()) is UNAVAILABLE


async def test_plain_text_is_refused(server: Server) -> None:
    assert await greeted(server, None) is UNAVAILABLE


async def test_with_a_client_ca_a_client_with_a_certificate_is_served(
    mutual: Server, authority: Authority, clients: Authority
) -> None:
    async with connected(mutual.address, authority.trusted(clients)) as peer:
        assert await peer.start(instance_id="a") == "a"


@pytest.mark.parametrize("intruder", ["plain text", "no certificate", "another authority"])
async def test_with_a_client_ca_other_clients_learn_and_change_nothing(
    mutual: Server, authority: Authority, clients: Authority, stranger: Authority, intruder: str
) -> None:
    credentials = {
        "plain text": None,
        "no certificate": authority.trusted(),
        "another authority": authority.trusted(stranger),
    }[intruder]
    async with connected(mutual.address, authority.trusted(clients)) as owner:
        await owner.start(instance_id="a")

        async with connected(mutual.address, credentials) as peer:
            there, missing = [
                await peer.seen(methods.GET_INSTANCE, messages.GetInstanceRequest(instance_id=each))
                for each in ("a", "b")
            ]
            await peer.seen(methods.TERMINATE_INSTANCE, messages.TerminateRequest(instance_id="a"))

        status = (await owner.state("a")).orchestration_status

    assert (there.code, missing.code) == (UNAVAILABLE, UNAVAILABLE)
    assert (*there[2:], *missing[2:]) == ((),) * 6
    assert status == messages.OrchestrationStatus.PENDING


async def test_a_certificate_of_the_servers_authority_does_not_admit_a_client(
    mutual: Server, authority: Authority
) -> None:
    assert await greeted(mutual, authority.trusted(authority)) is UNAVAILABLE


async def test_a_certificate_does_not_replace_a_token(
    authority: Authority, clients: Authority, tmp_path: Path
) -> None:
    tokens = tmp_path / "tokens"
    replace(tokens, TOKENS)
    server = Server(security=Security(*authority.certify(), clients.file, tokens))
    await server.start()
    trusted = authority.trusted(clients)
    try:
        async with connected(server.address, trusted) as without:
            assert (await without.seen(methods.HELLO)).code is grpc.StatusCode.UNAUTHENTICATED
        async with connected(server.address, trusted, *bearer(ORDERS, "orders")) as owner:
            assert (await owner.seen(methods.HELLO)).code is OK
    finally:
        await server.stop()


async def test_a_replaced_certificate_is_served_to_the_next_connection(
    tmp_path: Path, authority: Authority, server: Server
) -> None:
    successor = Authority(tmp_path, "successor")
    async with connected(server.address, authority.trusted()) as before:
        await before.start(instance_id="a")

        successor.certify()

        assert await greeted(server, successor.trusted()) is OK
        assert await greeted(server, authority.trusted()) is UNAVAILABLE
        # Existing connections are kept.
        assert (await before.state("a")) is not None


async def test_a_replaced_client_authority_holds_for_the_next_connection(
    mutual: Server, authority: Authority, clients: Authority, stranger: Authority
) -> None:
    replace(clients.file, stranger.root)

    assert await greeted(mutual, authority.trusted(stranger)) is OK
    assert await greeted(mutual, authority.trusted(clients)) is UNAVAILABLE


async def test_each_address_serves_a_replaced_certificate(
    authority: Authority, tmp_path: Path
) -> None:
    """`localhost` is two addresses on a machine with IPv4 and IPv6."""
    server = Server(host="localhost", security=Security(*authority.certify()))
    await server.start()
    try:
        successor = Authority(tmp_path, "successor")
        successor.certify()
        port = int(server.address.rpartition(":")[2])
        for address in listening.hosts("localhost"):
            async with connected(listening.target(address, port), successor.trusted()) as peer:
                assert (await peer.seen(methods.HELLO)).code is OK
    finally:
        await server.stop()


@pytest.mark.parametrize("broken", ["no certificate", None])
async def test_a_broken_certificate_leaves_the_earlier_one_in_force_and_is_logged_once(
    server: Server,
    authority: Authority,
    tmp_path: Path,
    broken: str | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    replace(tmp_path / "server.pem", broken)

    for _ in range(2):
        assert await greeted(server, authority.trusted()) is OK

    (record,) = [each for each in caplog.records if each.levelno >= logging.WARNING]
    assert str(tmp_path / "server.pem") in record.message


async def test_a_key_may_be_replaced_after_its_certificate(
    server: Server, authority: Authority, tmp_path: Path
) -> None:
    successor = Authority(tmp_path, "successor")
    key = tmp_path / "server.key"
    old_key = key.read_bytes()
    successor.certify()
    new_key = key.read_bytes()
    replace(key, old_key)

    assert await greeted(server, authority.trusted()) is OK
    replace(key, new_key)

    assert await greeted(server, successor.trusted()) is OK
