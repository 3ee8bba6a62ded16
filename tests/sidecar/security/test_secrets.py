"""No token and no key is in anything that the sidecar logs, prints or responds."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from durabletask.protocol import methods
from durabletask.sidecar import Security
from durabletask.sidecar.server import Server
from tests.builders.command import PATIENCE, address_in, run, running
from tests.builders.security import (
    ADMIN,
    BILLING,
    ORDERS,
    TOKENS,
    Authority,
    bearer,
    connected,
    replace,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

WRONG = "wrong-0123456789abcdef"
SECRETS = (ORDERS, BILLING, ADMIN, WRONG)


def leaked(text: str, secrets: Sequence[str] = SECRETS) -> list[str]:
    """The second halves of those secrets that are in the text."""
    halves = [each[len(each) // 2 :] for each in secrets]
    return [half for half in halves if half in text]


def lines_of(key: Path) -> list[str]:
    return [each for each in key.read_text().splitlines() if not each.startswith("-")]


async def test_no_token_shows_in_responses_or_logs_of_accepted_and_refused_calls(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    tokens = tmp_path / "tokens"
    replace(tokens, TOKENS)
    server = Server(security=Security(token_file=tokens))
    await server.start()
    answers = []
    for metadata in (
        bearer(ORDERS, "orders"),
        bearer(BILLING, "orders"),
        bearer(WRONG, "orders"),
        bearer(f"{ORDERS} {WRONG}"),
        (("authorization", f"Bearer{ORDERS}"),),
    ):
        async with connected(server.address, None, *metadata) as peer:
            # GetInstance without an id is an error of the service itself, if it is admitted.
            answers += [await peer.seen(each) for each in (methods.HELLO, methods.GET_INSTANCE)]
    await server.stop()

    assert leaked(repr(answers)) == []
    assert leaked("".join(capfd.readouterr())) == []
    assert leaked(caplog.text) == []


@pytest.mark.parametrize("content", [f"orders\n{ORDERS}", f"orders {ORDERS}\u00e9", ORDERS, ""])
async def test_a_broken_file_is_not_quoted_in_the_log(
    tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    tokens = tmp_path / "tokens"
    replace(tokens, TOKENS)
    server = Server(security=Security(token_file=tokens))
    await server.start()
    replace(tokens, content)
    async with connected(server.address, None, *bearer(ORDERS, "orders")) as peer:
        await peer.seen(methods.HELLO)
    await server.stop()

    assert str(tokens) in caplog.text
    assert leaked(caplog.text) == []


def test_the_command_does_not_quote_a_broken_file(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    cert, key = authority.certify()
    tokens = tmp_path / "tokens"
    replace(tokens, TOKENS)
    replace(key, key.read_text().replace("BEGIN", "BEGUN"))
    secured = ["--tls-cert", str(cert), "--tls-key", str(key), "--token-file", str(tokens)]

    ended = run("--port", "0", *secured)

    assert str(key) in ended.stderr
    assert leaked(ended.stderr, lines_of(key)) == []


@pytest.mark.parametrize("log_format", ["text", "json"])
async def test_the_command_logs_no_token_even_at_debug_level(
    tmp_path: Path, log_format: str
) -> None:
    replace(tmp_path / "tokens", TOKENS)
    options = ("--log-level", "debug", "--log-format", log_format, "--token-file", "tokens")
    with running("--port", "0", *options, cwd=tmp_path) as (process, line):
        for token in (ORDERS, BILLING, WRONG):
            async with connected(address_in(line), None, *bearer(token, "orders")) as peer:
                for method in methods.ALL[:8]:
                    await peer.seen(method, b"\xff")
        process.terminate()
        written = "".join(process.communicate(timeout=PATIENCE))

    assert "PERMISSION_DENIED" in written
    assert leaked(written) == []


def test_the_repr_of_security_shows_no_secret(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    replace(tokens, TOKENS)

    shown = repr(Security(token_file=tokens))

    assert str(tokens) in shown
    assert leaked(shown) == []
