"""Where a sidecar can listen."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from durabletask.sidecar.network import listening


def without(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Make it a machine that lacks these addresses."""
    resolve = socket.getaddrinfo

    def getaddrinfo(host: str, *arguments: Any, **options: Any) -> Any:
        if host in addresses:
            raise socket.gaierror("Address family for hostname not supported")
        return resolve(host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def test_localhost_means_both_families_whatever_the_machine_calls_so() -> None:
    assert listening.hosts("localhost") == ("127.0.0.1", "::1")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "127.0.0.1", "example.invalid"])
def test_any_other_host_means_itself(host: str) -> None:
    assert listening.hosts(host) == (host,)


@pytest.mark.parametrize(("missing", "left"), [("::1", "127.0.0.1"), ("127.0.0.1", "::1")])
def test_a_family_that_the_machine_lacks_is_left_out(
    missing: str, left: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, missing)

    assert listening.hosts("localhost") == (left,)


def test_a_machine_without_any_is_told_which_address_it_lacks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    without(monkeypatch, "127.0.0.1", "::1")

    (host,) = listening.hosts("localhost")

    with pytest.raises(OSError, match=r"cannot listen on 127.0.0.1:0"):
        listening.check_free(host, 0)


def test_a_port_for_several_addresses_is_free_on_each_of_them() -> None:
    port = listening.free_port(("127.0.0.1", "::1"))

    assert port > 0
    for host in ("127.0.0.1", "::1"):
        listening.check_free(host, port)


def test_a_port_that_one_of_them_has_in_use_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    refused: list[int] = []
    check = listening.check_free

    def in_use_at_first(host: str, port: int) -> None:
        if len(refused) < 3:
            refused.append(port)
            raise OSError(f"{host}:{port} is in use")
        check(host, port)

    monkeypatch.setattr(listening, "check_free", in_use_at_first)

    listening.free_port(("127.0.0.1", "::1"))

    assert len(refused) == 3


def test_for_a_single_address_the_choice_is_left_to_who_listens() -> None:
    assert listening.free_port(("127.0.0.1",)) == 0
