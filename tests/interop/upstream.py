"""Links to the source of durabletask-go that explains a difference."""

from __future__ import annotations

_SOURCE = "https://github.com/dapr/durabletask-go/blob/v0.14.0/backend"


def source(file: str) -> str:
    """A link to a file of the version that is played."""
    return f"[{file}]({_SOURCE}/{file})"


def issue(number: int, repository: str = "dapr") -> str:
    """A link to a report of the defect."""
    return f"[{repository}#{number}](https://github.com/dapr/{repository}/issues/{number})"
