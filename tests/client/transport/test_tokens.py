"""Which engines are sent the environment's token for Dapr, and when a bearer token is exposed."""

from __future__ import annotations

from typing import Any

import pytest

from durabletask.protocol import dialects
from durabletask.transport import tokens
from durabletask.transport.address import Address

ENVIRONMENT = {"DAPR_API_TOKEN": "secret"}
SENT = (("dapr-api-token", "secret"),)


@pytest.mark.parametrize(
    ("dialect", "is_likely", "expected"),
    [
        (None, True, SENT),
        (None, False, ()),
        (dialects.DAPR, False, SENT),
        (dialects.TASKHUB, True, ()),
    ],
)
def test_the_token_goes_only_to_daprs_engines(
    dialect: Any, *, is_likely: bool, expected: Any
) -> None:
    metadata = tokens.with_api_token((), dialect, is_likely=is_likely, environment=ENVIRONMENT)

    assert metadata == expected


@pytest.mark.parametrize("key", ["dapr-api-token", "Dapr-Api-Token"])
def test_a_token_of_the_callers_own_wins(key: str) -> None:
    given = ((key, "mine"),)

    assert tokens.with_api_token(given, None, is_likely=True, environment=ENVIRONMENT) == given


@pytest.mark.parametrize("environment", [{}, {"DAPR_API_TOKEN": " "}])
def test_without_a_token_there_is_none(environment: dict[str, str]) -> None:
    given = (("taskhub", "orders"),)

    assert tokens.with_api_token(given, None, is_likely=True, environment=environment) == given


@pytest.mark.parametrize(
    ("key", "address", "is_warned"),
    [
        ("authorization", Address("sidecar.test:4001", secure=False), True),
        ("Authorization", Address("sidecar.test:4001", secure=False), True),
        ("authorization", Address("sidecar.test:443", secure=True), False),
        ("authorization", Address("localhost:4001", secure=False), False),
        ("taskhub", Address("sidecar.test:4001", secure=False), False),
    ],
)
def test_only_a_bearer_token_that_leaves_the_machine_in_plain_text_is_warned_of(
    caplog: pytest.LogCaptureFixture, key: str, address: Address, *, is_warned: bool
) -> None:
    tokens.warn_if_exposed(((key, "Bearer secret"),), address)

    assert [record.name for record in caplog.records] == ["durabletask.transport"] * is_warned
    assert "secret" not in caplog.text
