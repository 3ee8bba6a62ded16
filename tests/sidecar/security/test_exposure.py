"""What the operator is told who opens a sidecar beyond loopback."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from durabletask.sidecar import Security
from durabletask.sidecar.network.listening import is_loopback
from durabletask.sidecar.server import Server
from tests.builders.security import TOKENS, Authority, replace

if TYPE_CHECKING:
    from pathlib import Path

WITHOUT_TLS = "without TLS"
WITHOUT_TOKENS = "without authentication"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "localhost", "::1"])
def test_loopback_is_what_only_this_machine_reaches(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "no such host", "a" * 300])
def test_all_else_is_not_loopback(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("security", "told"),
    [
        (Security(), [WITHOUT_TLS, WITHOUT_TOKENS]),
        (Security(token_file="t"), [WITHOUT_TLS]),
        (Security("c", "k"), [WITHOUT_TOKENS]),
        (Security("c", "k", token_file="t"), []),
        (Security("c", "k", "ca"), []),
    ],
)
def test_each_protection_that_is_missing_is_told(security: Security, told: list[str]) -> None:
    warnings = list(security.exposure_warnings())

    assert len(warnings) == len(told)
    for warning, part in zip(warnings, told, strict=True):
        assert part in warning


async def started(host: str, security: Security | None = None) -> None:
    server = Server(host=host, security=security)
    await server.start()
    await server.stop()


async def test_an_open_sidecar_warns_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    await started("0.0.0.0")

    first, second = caplog.records
    assert WITHOUT_TLS in first.message
    assert WITHOUT_TOKENS in second.message
    assert {each.levelname for each in caplog.records} == {"WARNING"}
    assert all(vars(each)["address"].startswith("0.0.0.0:") for each in caplog.records)


async def test_one_that_is_protected_does_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tokens = tmp_path / "tokens"
    replace(tokens, TOKENS)

    await started("0.0.0.0", Security(*Authority(tmp_path).certify(), token_file=tokens))

    assert not caplog.records


async def test_nor_does_one_on_loopback_which_is_the_default(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = Server()
    await server.start()
    await server.stop()

    assert server.address.startswith("127.0.0.1:")
    assert not caplog.records
