"""Read a connection string: `Endpoint=…;TaskHub=…;Authentication=…` and what goes with it.

The names and values are those of the scheduler's other SDKs; case and order do not matter.
An error names the part that is wrong but repeats no value, which may be a secret.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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
