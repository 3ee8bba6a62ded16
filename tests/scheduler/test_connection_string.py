"""Connection strings: their parts, and which part an error names."""

from __future__ import annotations

import azure.identity
import pytest
from hypothesis import given
from hypothesis import strategies as st

from durabletask.azuremanaged._connection_string import (
    REQUIRED,
    SETTINGS_OF,
    ConnectionString,
    arguments_for,
    credential_for,
    parse,
)

EMULATOR = "Endpoint=http://localhost:8080;TaskHub=default;Authentication=None"


def test_a_connection_string_has_endpoint_hub_and_authentication() -> None:
    assert parse(EMULATOR) == ConnectionString("http://localhost:8080", "default", "None")


def test_case_order_spaces_and_a_last_semicolon_do_not_matter() -> None:
    text = (
        " authentication = managedIDENTITY ; TASKHUB=default; clientid=1-2 ;endpoint=https://a.b ; "
    )

    assert parse(text) == ConnectionString(
        "https://a.b", "default", "ManagedIdentity", {"ClientID": "1-2"}
    )


def test_a_value_may_hold_an_equals_sign() -> None:
    assert parse(EMULATOR.replace("default", "a=b")).taskhub == "a=b"


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_part_is_named(name: str) -> None:
    rest = ";".join(part for part in EMULATOR.split(";") if not part.startswith(name))

    with pytest.raises(ValueError, match=f"lacks {name}"):
        parse(rest)


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        (";TaskHub=other", "TaskHub twice"),
        (";taskhub=other", "TaskHub twice"),
        (";Colour=red", "Part 4 .* unknown name"),
        (";oops", "Part 4 .* Name=Value"),
        (";ClientID=", "ClientID without a value"),
        (";ClientID=1-2", "ClientID, which Authentication=None does not use"),
    ],
)
def test_a_wrong_part_is_named(more: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse(EMULATOR + more)


def test_the_error_for_an_unknown_authentication_lists_the_choices() -> None:
    with pytest.raises(ValueError, match="Authentication") as caught:
        parse(EMULATOR.replace("None", "Magic"))

    assert all(kind in str(caught.value) for kind in SETTINGS_OF)


@pytest.mark.parametrize("part", ["hunter2", "AccountKey=hunter2", "ClientID=hunter2"])
def test_no_error_repeats_what_may_be_a_secret(part: str) -> None:
    with pytest.raises(ValueError, match="connection string") as caught:
        parse(f"{part};{EMULATOR}")

    assert "hunter2" not in str(caught.value)


@given(st.lists(st.sampled_from([*REQUIRED, "ClientID", "=", ";", "None", " ", "x"])).map("".join))
def test_any_text_is_parsed_or_refused_with_an_error_about_the_connection_string(text: str) -> None:
    try:
        read = parse(text)
    except ValueError as error:
        read = None
        complaint = str(error)

    assert read or "connection string" in complaint


@pytest.mark.parametrize("kind", [kind for kind in SETTINGS_OF if kind != "None"])
def test_azure_identity_takes_every_setting_that_is_allowed(kind: str) -> None:
    settings = dict.fromkeys(SETTINGS_OF[kind], "0-1")

    credential = credential_for(ConnectionString("https://a.b", "hub", kind, settings))

    wanted = {"AzureCLI": "AzureCli"}.get(kind, kind) + "Credential"
    assert isinstance(credential, getattr(azure.identity, wanted))
    credential.close()


def test_without_authentication_there_is_no_credential() -> None:
    assert credential_for(parse(EMULATOR)) is None


def test_a_client_id_is_that_of_the_managed_identity_among_the_defaults() -> None:
    assert arguments_for("DefaultAzure", {"ClientID": "1-2"}) == {
        "managed_identity_client_id": "1-2"
    }


def test_tenants_are_separated_by_commas() -> None:
    arguments = arguments_for("WorkloadIdentity", {"AdditionallyAllowedTenants": "a, b"})

    assert arguments == {"additionally_allowed_tenants": ["a", "b"]}
