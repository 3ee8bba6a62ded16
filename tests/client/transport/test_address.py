"""The address of the sidecar: where it comes from, and which forms it may have."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durabletask.client import AsyncTaskHubGrpcClient, TaskHubGrpcClient
from durabletask.transport import address
from durabletask.transport.address import resolve

HOSTS = st.from_regex(r"[a-z][a-z0-9-]{0,20}(\.[a-z]{2,5}){0,3}", fullmatch=True)
PORTS = st.integers(1, 65535)
PREFIXES = {"https://": True, "grpcs://": True, "http://": False, "grpc://": False}


def test_the_argument_wins_over_the_environment() -> None:
    found = resolve("here:1", environment={"DURABLETASK_ENDPOINT": "there:2"})

    assert found == ("here:1", False)


@pytest.mark.parametrize("argument", [None, "", "  "])
def test_the_environment_wins_over_the_default(argument: str | None) -> None:
    found = resolve(argument, environment={"DURABLETASK_ENDPOINT": "https://there:2"})

    assert found == ("there:2", True)


@pytest.mark.parametrize("environment", [{}, {"DURABLETASK_ENDPOINT": " "}])
def test_the_default_is_port_4001_of_this_machine(environment: dict[str, str]) -> None:
    assert resolve(None, environment=environment) == ("localhost:4001", False)


def test_the_environment_is_that_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DURABLETASK_ENDPOINT", "there:2")

    assert resolve().target == "there:2"


@given(HOSTS, PORTS, st.sampled_from(sorted(PREFIXES)), st.booleans(), st.booleans())
def test_a_prefix_decides_about_tls_in_any_case_of_letters(
    host: str, port: int, prefix: str, upper: bool, secure: bool
) -> None:
    written = (prefix.upper() if upper else prefix) + f"{host}:{port}"

    found = resolve(written, secure=secure, environment={})

    assert found == (f"{host}:{port}", PREFIXES[prefix])


@given(HOSTS, PORTS, st.booleans())
def test_without_a_prefix_the_caller_decides_about_tls(host: str, port: int, secure: bool) -> None:
    assert resolve(f"{host}:{port}", secure=secure, environment={}) == (f"{host}:{port}", secure)


@given(HOSTS)
def test_plaintext_without_a_port_means_4001(host: str) -> None:
    assert resolve(f"http://{host}", environment={}).target == f"{host}:4001"


@given(HOSTS)
def test_tls_without_a_port_is_left_to_grpc_which_takes_443(host: str) -> None:
    assert resolve(f"https://{host}", environment={}).target == host


@pytest.mark.parametrize(
    ("written", "target"),
    [
        ("http://localhost:4001/", "localhost:4001"),
        ("[::1]:4001", "[::1]:4001"),
        ("[::1]", "[::1]:4001"),
        ("unix:///run/sidecar.sock", "unix:///run/sidecar.sock"),
        ("dns:///sidecar:4001", "dns:///sidecar:4001"),
        ("http://", "localhost:4001"),
    ],
)
def test_addresses_of_people_and_of_grpc_are_understood(written: str, target: str) -> None:
    assert resolve(written, environment={}) == (target, False)


@pytest.mark.parametrize(
    "target",
    [
        "my_service:4001",
        "münchen.example:4001",
        "[fe80::1%eth0]:4001",
        "dns://1.1.1.1/sidecar:4001",
        "dns:sidecar:4001",
        "ipv4:10.0.0.1:4001,10.0.0.2:4001",
        "ipv6:[::1]:4001",
        "unix:relative.sock",
        "unix-abstract:sidecar",
        "vsock:3:4001",
        "xds:///sidecar",
        "host:1",
        "host:65535",
    ],
)
def test_targets_with_a_scheme_of_grpc_are_unchanged(target: str) -> None:
    assert resolve(target, environment={}).target == target


@pytest.mark.parametrize("given_by", ["host_address", "DURABLETASK_ENDPOINT"])
@pytest.mark.parametrize(
    "written",
    [
        "ftp://x:1",
        ":4001",
        "http://:4001",
        "host:99999",
        "host:0",
        "host:",
        "localhost:notaport",
        "host:4001/path",
        "https://host:4001/path",
        "user@host:4001",
        "two words:4001",
        "a:1:2",
        "::1",
        "[::1",
        "[]:4001",
        "unix:",
        "https://http://host:4001",
    ],
)
def test_a_malformed_address_is_refused_with_an_example_of_the_form(
    written: str, given_by: str
) -> None:
    argument, variable = (written, "") if given_by == "host_address" else (None, written)

    with pytest.raises(ValueError, match="host:port") as raised:
        resolve(argument, environment={"DURABLETASK_ENDPOINT": variable})

    assert repr(written) in str(raised.value)
    assert given_by in str(raised.value)


@pytest.mark.parametrize("client_class", [TaskHubGrpcClient, AsyncTaskHubGrpcClient])
def test_a_client_refuses_a_malformed_address_when_it_is_made(client_class: Any) -> None:
    with pytest.raises(ValueError, match="'host:99999'"):
        client_class(host_address="host:99999")


def test_an_address_is_text() -> None:
    with pytest.raises(TypeError, match=r"^host_address must be a str or None, not 4001"):
        resolve(4001)  # type: ignore[arg-type]


@given(st.text())
def test_any_text_is_a_target_or_refused(written: str) -> None:
    try:
        found = str(resolve(written, environment={}))
    except ValueError as refusal:
        found = str(refusal)

    assert found


@given(HOSTS, st.booleans())
def test_resolving_a_target_changes_nothing(host: str, secure: bool) -> None:
    once = resolve(host, secure=secure, environment={})

    assert resolve(once.target, secure=secure, environment={}) == once


@pytest.mark.parametrize(
    "target",
    [
        "localhost:1",
        "LOCALHOST:1",
        "127.0.0.1:1",
        "127.8.9.10:1",
        "[::1]:1",
        "unix:/a",
        "dns:localhost:1",
    ],
)
def test_loopback_is_recognised(target: str) -> None:
    assert resolve(target, environment={}).is_loopback


@pytest.mark.parametrize("target", ["localhost.example:1", "10.0.0.1:1", "1127.0.0.1:1", "[::2]:1"])
def test_other_machines_are_not_loopback(target: str) -> None:
    assert not resolve(target, environment={}).is_loopback


def test_an_address_is_shown_as_it_can_be_given_again() -> None:
    shown = str(resolve("grpcs://there:2", environment={}))

    assert resolve(shown, environment={}) == ("there:2", True)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"DAPR_GRPC_PORT": "50001"}, ("localhost:50001", False)),
        ({"DAPR_GRPC_PORT": "50001", "DAPR_RUNTIME_HOST": "daprd"}, ("daprd:50001", False)),
        (
            {"DAPR_GRPC_PORT": "1", "DAPR_GRPC_HOST": "grpc", "DAPR_RUNTIME_HOST": "other"},
            ("grpc:1", False),
        ),
        ({"DAPR_GRPC_ENDPOINT": "dapr.test:50001"}, ("dapr.test:50001", False)),
        ({"DAPR_GRPC_ENDPOINT": "dapr.test"}, ("dapr.test:443", False)),
        ({"DAPR_GRPC_ENDPOINT": "https://dapr.test"}, ("dapr.test", True)),
        ({"DAPR_GRPC_ENDPOINT": "http://dapr.test:80"}, ("dapr.test:80", False)),
        ({"DAPR_GRPC_ENDPOINT": "dapr.test:443?tls=true"}, ("dapr.test:443", True)),
        ({"DAPR_GRPC_ENDPOINT": "dapr.test:443/?tls=false"}, ("dapr.test:443", False)),
        ({"DAPR_GRPC_ENDPOINT": "e:1", "DAPR_GRPC_PORT": "2"}, ("e:1", False)),
        ({"DURABLETASK_ENDPOINT": "ours:1", "DAPR_GRPC_ENDPOINT": "e:2"}, ("ours:1", False)),
    ],
)
def test_daprs_variables_come_after_ours(
    environment: dict[str, str], expected: tuple[str, bool]
) -> None:
    assert address.resolve(environment=environment) == expected


@pytest.mark.parametrize(
    ("argument", "environment", "expected"),
    [
        (None, {"DAPR_GRPC_PORT": "50001"}, True),
        (None, {"DAPR_GRPC_ENDPOINT": "dapr.test"}, True),
        (None, {"DURABLETASK_ENDPOINT": "a:1", "DAPR_GRPC_PORT": "50001"}, False),
        ("a:1", {"DAPR_GRPC_PORT": "50001"}, False),
        (None, {}, False),
    ],
)
def test_an_address_from_daprs_variables_is_recognised(
    argument: str | None, environment: dict[str, str], *, expected: bool
) -> None:
    assert address.is_of_dapr(argument, environment=environment) is expected


def test_a_malformed_variable_of_daprs_is_named() -> None:
    with pytest.raises(ValueError, match="DAPR_GRPC_PORT is 'localhost:http'"):
        address.resolve(environment={"DAPR_GRPC_PORT": "http"})
