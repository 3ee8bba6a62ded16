"""The warnings of a sidecar that listens beyond loopback."""

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
def test_addresses_that_only_this_machine_reaches_are_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "no such host", "a" * 300])
def test_all_other_addresses_are_not_loopback(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("security", "parts"),
    [
        (Security(), [WITHOUT_TLS, WITHOUT_TOKENS]),
        (Security(token_file="t"), [WITHOUT_TLS]),
        (Security("c", "k"), [WITHOUT_TOKENS]),
        (Security("c", "k", token_file="t"), []),
        (Security("c", "k", "ca"), []),
    ],
)
def test_each_missing_protection_has_a_warning(security: Security, parts: list[str]) -> None:
    warnings = list(security.exposure_warnings())

    assert len(warnings) == len(parts)
    for warning, part in zip(warnings, parts, strict=True):
        assert part in warning


async def started(host: str, security: Security | None = None) -> None:
    server = Server(host=host, security=security)
    await server.start()
    await server.stop()


async def test_a_sidecar_without_protection_logs_warnings(caplog: pytest.LogCaptureFixture) -> None:
    await started("0.0.0.0")

    first, second = caplog.records
    assert WITHOUT_TLS in first.message
    assert WITHOUT_TOKENS in second.message
    assert {each.levelname for each in caplog.records} == {"WARNING"}
    assert all(vars(each)["address"].startswith("0.0.0.0:") for each in caplog.records)


async def test_a_protected_sidecar_logs_no_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tokens = tmp_path / "tokens"
    replace(tokens, TOKENS)

    await started("0.0.0.0", Security(*Authority(tmp_path).certify(), token_file=tokens))

    assert not caplog.records


async def test_a_sidecar_on_loopback_which_is_the_default_logs_no_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = Server()
    await server.start()
    await server.stop()

    assert server.address.startswith("127.0.0.1:")
    assert not caplog.records
