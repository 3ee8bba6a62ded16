"""The options for security, as users give them to the command."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
import pytest

from durabletask.protocol import methods
from tests.builders.command import PATIENCE, address_in, run, running
from tests.builders.security import ORDERS, TOKENS, Authority, bearer, connected, replace

if TYPE_CHECKING:
    from pathlib import Path

# Each starts the command as a process.
pytestmark = pytest.mark.slow


@pytest.fixture
def files(tmp_path: Path) -> Authority:
    replace(tmp_path / "tokens", TOKENS)
    authority = Authority(tmp_path)
    authority.certify()
    return authority


def refused(folder: Path, *arguments: str) -> str:
    """The error of a command that does not start."""
    ended = run("--port", "0", *arguments, cwd=folder)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.count("\n") == 1
    return ended.stderr


ALL = ("--tls-cert", "server.pem", "--tls-key", "server.key", "--client-ca", "authority.pem")


@pytest.mark.parametrize("source", ["flags", "file"])
async def test_certificates_and_tokens_are_required_as_the_options_say(
    files: Authority, tmp_path: Path, source: str
) -> None:
    arguments: tuple[str, ...] = (*ALL, "--token-file", "tokens")
    if source == "file":
        names, values = arguments[::2], arguments[1::2]
        lines = [f'{name[2:]} = "{value}"' for name, value in zip(names, values, strict=True)]
        replace(tmp_path / "sidecar.toml", "\n".join(lines))
        arguments = ("--config", "sidecar.toml")

    with running("--port", "0", *arguments, cwd=tmp_path) as (_, line):
        address = address_in(line)
        trusted, owner = files.trusted(files), bearer(ORDERS, "orders")
        async with connected(address, trusted, *owner) as peer:
            assert await peer.start(instance_id="a") == "a"
        async with connected(address, trusted) as peer:
            assert (await peer.seen(methods.HELLO)).code is grpc.StatusCode.UNAUTHENTICATED
        async with connected(address, files.trusted(), *owner) as peer:
            assert (await peer.seen(methods.HELLO)).code is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("name", ["server.pem", "server.key", "authority.pem", "tokens"])
def test_a_broken_file_is_one_clear_error(files: Authority, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("broken")
    (tmp_path / name).chmod(0o600)

    assert name in refused(tmp_path, *ALL, "--token-file", "tokens")


@pytest.mark.parametrize("name", ["server.pem", "server.key", "authority.pem", "tokens"])
def test_a_missing_file_is_one_clear_error(files: Authority, tmp_path: Path, name: str) -> None:
    (tmp_path / name).unlink()

    error = refused(tmp_path, *ALL, "--token-file", "tokens")

    assert error == f"durabletask-sidecar: cannot read {name}: No such file or directory\n"


@pytest.mark.parametrize("option", ["--tls-cert", "--tls-key", "--client-ca"])
def test_options_that_need_another_are_one_clear_error(tmp_path: Path, option: str) -> None:
    assert "tls-cert" in refused(tmp_path, option, "server.pem")


def test_a_sidecar_without_protection_warns_on_standard_error() -> None:
    with running("--port", "0", "--host", "0.0.0.0") as (process, _):
        process.terminate()
        _, said = process.communicate(timeout=PATIENCE)

    assert said.count("without TLS") == 1
    assert said.count("without authentication") == 1


def test_a_sidecar_on_loopback_writes_no_warning() -> None:
    with running("--port", "0") as (process, _):
        process.terminate()
        _, said = process.communicate(timeout=PATIENCE)

    assert said == ""
