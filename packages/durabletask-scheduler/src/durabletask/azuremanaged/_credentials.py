"""Make the credential that a connection string names.

azure-identity is imported here only, and only when a credential is made. The credentials are
those for threads: those for asyncio need aiohttp as well, and both the worker and the
asynchronous client can ask one for threads on a thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from azure.core.credentials import TokenCredential

    from ._connection_string import ConnectionString

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
