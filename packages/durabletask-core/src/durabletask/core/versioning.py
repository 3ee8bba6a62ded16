"""Whether a worker of one version may run an orchestration of another.

Versions are compared like those of Python packages (PEP 440: 1.0 is 1.0.0, and older than
1.10), or as text if one of the two is not such a version. No version is older than any.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from durabletask.core.arguments import optional_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from packaging.version import Version

    from durabletask.protocol import messages

T = TypeVar("T", str, "Version")

MISMATCH = "VersionMismatch"
"""The error type of an orchestration that failed because no worker of its version ran it."""


class VersionMatchStrategy(enum.Enum):
    """Which orchestrations a worker runs, judged by their version and its own."""

    NONE = 1
    """All versions."""
    STRICT = 2
    """Its own version."""
    CURRENT_OR_OLDER = 3
    """Its own version and older ones."""


class VersionFailureStrategy(enum.Enum):
    """What happens to an orchestration whose version does not match."""

    REJECT = 1
    """It is handed back, for another worker or a later deployment of this one."""
    FAIL = 2
    """It fails, with the error type `VersionMismatch`."""


@dataclass(frozen=True, slots=True)
class VersioningOptions:
    """Which versions of orchestrations a worker runs, and starts.

    `version` is the worker's own, against which those of orchestrations are matched;
    `default_version` is given to sub-orchestrations for which the orchestrator names none.
    Without a `match_strategy` all versions match, as with `NONE`. Without a
    `failure_strategy` what does not match fails, as with `FAIL`: an orchestration that is
    handed back would wait forever if no worker ever matches.

    Example:
        ```python
        worker.use_versioning(
            VersioningOptions(
                version="2.1",
                default_version="2.1",
                match_strategy=VersionMatchStrategy.CURRENT_OR_OLDER,
                failure_strategy=VersionFailureStrategy.REJECT,
            )
        )
        ```
    """

    version: str | None = None
    default_version: str | None = None
    match_strategy: VersionMatchStrategy | None = None
    failure_strategy: VersionFailureStrategy | None = None

    def __post_init__(self) -> None:
        optional_text(self.version, "version")
        optional_text(self.default_version, "default_version")

    @property
    def rejects(self) -> bool:
        """Whether what does not match is handed back, and not failed."""
        return self.failure_strategy is VersionFailureStrategy.REJECT


def mismatch(version: str | None, options: VersioningOptions) -> str | None:
    """Why a worker with these options may not run that version; None if it may."""
    strategy: object = options.match_strategy  # programs may pass something else
    match strategy:
        case None | VersionMatchStrategy.NONE:
            return None
        case VersionMatchStrategy.STRICT:
            verdict = "does not match" if compare(version, options.version) else None
        case VersionMatchStrategy.CURRENT_OR_OLDER:
            verdict = "is greater than" if compare(version, options.version) > 0 else None
        case unknown:
            return f"The version match strategy '{unknown}' is unknown."
    return verdict and (
        f"The orchestration version '{version}' {verdict} the worker version '{options.version}'."
    )


def compare(left: str | None, right: str | None) -> int:
    """Below, at or above zero as the left version is older than, as, or newer than the right."""
    if not left or not right:
        return bool(left) - bool(right)
    # Late: only programs that use versions pay for the import.
    from packaging.version import Version

    try:
        return _order(Version(left), Version(right))
    # ValueError: InvalidVersion, and Python's error for numbers with thousands of digits.
    except ValueError:
        return _order(left, right)


def version_of(history: Iterable[messages.HistoryEvent]) -> str | None:
    """The version with which the execution of that history was started, if any."""
    for event in history:
        if event.execution_started is not None:
            return event.execution_started.version
    return None


def _order(left: T, right: T) -> int:
    return (left > right) - (left < right)
