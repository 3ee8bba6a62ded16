"""Which connections are let in, by their certificates."""

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
# What clients say whose connection came to nothing.
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
    """Serves TLS, and asks nobody for a certificate."""
    server = Server(security=Security(*authority.certify()))
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def mutual(authority: Authority, clients: Authority) -> AsyncIterator[Server]:
    """Serves TLS to clients with a certificate."""
    server = Server(security=Security(*authority.certify(), clients.file))
    await server.start()
    yield server
    await server.stop()


async def greeted(server: Server, credentials: grpc.ChannelCredentials | None) -> grpc.StatusCode:
    async with connected(server.address, credentials) as peer:
        return (await peer.seen(methods.HELLO)).code


async def test_who_trusts_its_authority_is_served(server: Server, authority: Authority) -> None:
    async with connected(server.address, authority.trusted()) as peer:
        assert await peer.start(instance_id="a") == "a"


async def test_who_trusts_another_authority_does_not_call_it(
    server: Server, stranger: Authority
) -> None:
    assert await greeted(server, stranger.trusted()) is UNAVAILABLE


async def test_plain_text_is_refused(server: Server) -> None:
    assert await greeted(server, None) is UNAVAILABLE


async def test_with_a_client_ca_who_has_a_certificate_of_it_is_served(
    mutual: Server, authority: Authority, clients: Authority
) -> None:
    async with connected(mutual.address, authority.trusted(clients)) as peer:
        assert await peer.start(instance_id="a") == "a"


@pytest.mark.parametrize("intruder", ["plain text", "no certificate", "another authority"])
async def test_with_a_client_ca_others_are_refused_and_learn_and_change_nothing(
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


async def test_a_certificate_of_the_authority_of_servers_is_none_for_a_client(
    mutual: Server, authority: Authority
) -> None:
    assert await greeted(mutual, authority.trusted(authority)) is UNAVAILABLE


async def test_a_certificate_does_not_take_the_place_of_a_token(
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


async def test_a_certificate_that_was_replaced_is_served_to_the_next_connection(
    tmp_path: Path, authority: Authority, server: Server
) -> None:
    successor = Authority(tmp_path, "successor")
    async with connected(server.address, authority.trusted()) as before:
        await before.start(instance_id="a")

        successor.certify()

        assert await greeted(server, successor.trusted()) is OK
        assert await greeted(server, authority.trusted()) is UNAVAILABLE
        # Connections that exist are not cut.
        assert (await before.state("a")) is not None


async def test_an_authority_of_clients_that_was_replaced_holds_for_the_next_connection(
    mutual: Server, authority: Authority, clients: Authority, stranger: Authority
) -> None:
    replace(clients.file, stranger.root)

    assert await greeted(mutual, authority.trusted(stranger)) is OK
    assert await greeted(mutual, authority.trusted(clients)) is UNAVAILABLE


async def test_each_address_is_given_what_was_replaced(
    authority: Authority, tmp_path: Path
) -> None:
    """`localhost` is two addresses where the machine has both families."""
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
async def test_a_broken_certificate_leaves_the_earlier_in_force_and_is_told_once(
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


async def test_a_key_that_comes_after_its_certificate_is_waited_for(
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
