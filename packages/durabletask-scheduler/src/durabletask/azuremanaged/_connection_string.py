"""Connection strings: `Endpoint=…;TaskHub=…;Authentication=…` with the settings of the last.

The names and values are those of the scheduler's other SDKs; case and order do not matter.
An error names the part that is wrong but repeats no value, which may be a secret.

azure-identity is imported only when a credential is made. The credentials are those for
threads: those for asyncio need aiohttp as well, and both the worker and the asynchronous client
can ask one for threads on a thread.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterator, Mapping, Sequence

    from azure.core.credentials import TokenCredential

    from durabletask.exception_properties import ExceptionPropertiesProvider
    from durabletask.grpc_options import (
        GrpcChannelOptions,
        GrpcClientResiliencyOptions,
        GrpcWorkerResiliencyOptions,
    )
    from durabletask.serialization import DataConverter
    from durabletask.worker import ConcurrencyOptions

REQUIRED = ("Endpoint", "TaskHub", "Authentication")

SETTINGS_OF: Mapping[str, tuple[str, ...]] = {
    "None": (),
    "DefaultAzure": ("ClientID",),
    "ManagedIdentity": ("ClientID",),
    "WorkloadIdentity": ("ClientID", "TenantID", "TokenFilePath", "AdditionallyAllowedTenants"),
    "Environment": (),
    "AzureCLI": ("TenantID",),
    "AzurePowerShell": ("TenantID",),
    "InteractiveBrowser": ("ClientID", "TenantID"),
}
"""The kinds of authentication, and the settings that each of them has."""

# The classes of azure-identity, and their arguments.
_CLASSES = {
    "DefaultAzure": "DefaultAzureCredential",
    "ManagedIdentity": "ManagedIdentityCredential",
    "WorkloadIdentity": "WorkloadIdentityCredential",
    "Environment": "EnvironmentCredential",
    "AzureCLI": "AzureCliCredential",
    "AzurePowerShell": "AzurePowerShellCredential",
    "InteractiveBrowser": "InteractiveBrowserCredential",
}

_ARGUMENTS = {
    "ClientID": "client_id",
    "TenantID": "tenant_id",
    "TokenFilePath": "token_file_path",
    "AdditionallyAllowedTenants": "additionally_allowed_tenants",
}

_SETTINGS = tuple(dict.fromkeys(name for names in SETTINGS_OF.values() for name in names))
_KNOWN = {name.lower(): name for name in (*REQUIRED, *_SETTINGS)}
_AUTHENTICATIONS = {name.lower(): name for name in SETTINGS_OF}


@dataclass(frozen=True, slots=True)
class ConnectionString:
    """The parts of a connection string; `settings` are those of the authentication."""

    endpoint: str
    taskhub: str
    authentication: str
    settings: Mapping[str, str] = field(default_factory=dict)


class _Options(TypedDict, total=False):
    """The options of `from_connection_string`: the constructor's arguments of those names."""

    resource_id: str | None
    interceptors: Sequence[Any] | None
    channel_options: GrpcChannelOptions | None
    payload_store: Any
    data_converter: DataConverter | None
    log_handler: logging.Handler | None
    log_formatter: logging.Formatter | None
    logger: logging.Logger | None


class ClientOptions(_Options, total=False):
    """The options of a client."""

    resiliency_options: GrpcClientResiliencyOptions | None
    default_version: str | None


class WorkerOptions(_Options, total=False):
    """The options of a worker."""

    resiliency_options: GrpcWorkerResiliencyOptions | None
    concurrency_options: ConcurrencyOptions | None
    exception_properties_provider: ExceptionPropertiesProvider | None


def parse(text: str) -> ConnectionString:
    """Read a connection string, or raise ValueError that names what is wrong with it.

    Example:
        ```python
        parse("Endpoint=http://localhost:8080;TaskHub=default;Authentication=None")
        ```
    """
    values: dict[str, str] = {}
    for name, value in _parts(text):
        if name in values:
            raise ValueError(f"The connection string has {name} twice.")
        values[name] = value
    for name in REQUIRED:
        if name not in values:
            raise ValueError(f"The connection string lacks {name}: add '{name}=...;'.")
    endpoint, taskhub, authentication = (values.pop(name) for name in REQUIRED)
    kind = _AUTHENTICATIONS.get(authentication.lower())
    if kind is None:
        raise ValueError(
            "The connection string has an unknown Authentication: choose one of "
            f"{', '.join(SETTINGS_OF)}, or make a credential yourself and pass it as "
            "token_credential."
        )
    for name in values:
        if name not in SETTINGS_OF[kind]:
            raise ValueError(
                f"The connection string has {name}, which Authentication={kind} does not use: "
                "remove it or choose another Authentication."
            )
    return ConnectionString(endpoint, taskhub, kind, values)


def credential_for(connection: ConnectionString) -> TokenCredential | None:
    """The credential; None for `Authentication=None`."""
    kind = connection.authentication
    if kind == "None":
        return None
    import azure.identity

    make = getattr(azure.identity, _CLASSES[kind])
    credential: TokenCredential = make(**arguments_for(kind, connection.settings))
    return credential


def arguments_for(kind: str, settings: Mapping[str, str]) -> dict[str, Any]:
    """The settings as azure-identity's arguments."""
    arguments: dict[str, Any] = {_ARGUMENTS[name]: value for name, value in settings.items()}
    # DefaultAzureCredential tries several credentials; the id is that of the managed identity.
    if kind == "DefaultAzure" and "client_id" in arguments:
        arguments["managed_identity_client_id"] = arguments.pop("client_id")
    if tenants := arguments.get("additionally_allowed_tenants"):
        arguments["additionally_allowed_tenants"] = [each.strip() for each in tenants.split(",")]
    return arguments


def _parts(text: str) -> Iterator[tuple[str, str]]:
    """The parts in order, each with its name in our spelling."""
    for number, part in enumerate(text.split(";"), 1):
        if not part.strip():
            continue
        written, equals, value = part.partition("=")
        # The part itself is not shown: without an equals sign it may be half of a secret.
        if not equals:
            raise ValueError(
                f"Part {number} of the connection string is not of the form Name=Value."
            )
        name = _KNOWN.get(written.strip().lower())
        if name is None:
            raise ValueError(
                f"Part {number} of the connection string has an unknown name: write one of "
                f"{', '.join(_KNOWN.values())}."
            )
        if not value.strip():
            raise ValueError(f"The connection string has {name} without a value.")
        yield name, value.strip()
