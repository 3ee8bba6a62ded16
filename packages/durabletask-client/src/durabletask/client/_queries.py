"""Queries for many instances or entities, their pages, and the results of bulk operations.

A condition that is None holds for all. Naive times are UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from durabletask.client._flow import Flow
    from durabletask.client._state import OrchestrationStatus
    from durabletask.protocol import messages

T = TypeVar("T")


@dataclass
class OrchestrationQuery:
    """The conditions that orchestrations must meet.

    `created_time_from` is inclusive, `created_time_to` exclusive. `max_instance_count` limits
    one page, not the whole result; engines have limits of their own. Payloads are fetched only
    with `fetch_inputs_and_outputs`.

    Example:
        query = OrchestrationQuery(runtime_status=[OrchestrationStatus.FAILED])
        for state in client.iter_orchestration_states(query):
            client.rewind_orchestration(state.instance_id)
    """

    created_time_from: datetime | None = None
    created_time_to: datetime | None = None
    runtime_status: list[OrchestrationStatus] | None = None
    max_instance_count: int | None = 2**31 - 1
    fetch_inputs_and_outputs: bool = False
    instance_id_prefix: str | None = None


@dataclass
class EntityQuery:
    """The conditions that entities must meet.

    `instance_id_starts_with` is compared with the whole id, `@name@key`. `include_transient`
    adds entities without a state, which exist only because they are locked or have messages.
    `page_size` limits one page, not the whole result.
    """

    instance_id_starts_with: str | None = None
    last_modified_from: datetime | None = None
    last_modified_to: datetime | None = None
    include_state: bool = True
    include_transient: bool = False
    page_size: int | None = None


@dataclass
class PurgeInstancesResult:
    """How many instances were deleted.

    `is_complete` is False if the timeout came first, and None if the engine does not say.
    """

    deleted_instance_count: int
    is_complete: bool | None


@dataclass
class CleanEntityStorageResult:
    """How many entities without state were removed, and how many locks were released."""

    empty_entities_removed: int
    orphaned_locks_released: int


def new_purge_instances_result(response: messages.PurgeInstancesResponse) -> PurgeInstancesResult:
    """The result in a response."""
    return PurgeInstancesResult(response.deleted_instance_count, response.is_complete)


@dataclass
class Page(Generic[T]):
    """Some of the items; `continuation_token` asks for those that follow, None at the end."""

    items: list[T]
    continuation_token: str | None


def next_token(token: str | None, previous: str | None) -> str | None:
    """The token of the page after this one, or None if this page was the last.

    Engines mark the last page by no token, an empty one, "0", or the one they were given.
    """
    return None if not token or token in ("0", previous) else token


def gather(page_after: Callable[[str | None], Flow[Page[T]]]) -> Flow[list[T]]:
    """The items of all pages; `page_after` is the flow for the page after a token."""
    items: list[T] = []
    token: str | None = None
    while True:
        page = yield from page_after(token)
        items += page.items
        token = page.continuation_token
        if token is None:
            return items
