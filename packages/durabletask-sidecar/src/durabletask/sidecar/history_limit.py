"""Fail orchestrations whose history grows beyond a limit, with a text that names it.

The worker's answer is acknowledged all the same: it did nothing wrong, and an error would
only make it answer again.

Knows nothing about why there is a limit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from durabletask.protocol import messages

from . import responses
from .completions import Completions
from .host import Host

if TYPE_CHECKING:
    from collections.abc import Callable

    from .clock import Clock
    from .committer import Committer
    from .dispatcher import Dispatcher
    from .group_commit import GroupCommit


class LimitedHost(Host):
    """A host that lets no history go on once it has more than so many events."""

    def __init__(
        self,
        committer: Committer,
        clock: Clock,
        new_id: Callable[[], str],
        *,
        max_history_size: int,
    ) -> None:
        super().__init__(committer, clock, new_id)
        self.completions = LimitedCompletions(
            self.dispatcher, self._commits, committer, max_history_size
        )


class LimitedCompletions(Completions):
    """Takes the answers of workers, but not to what has become too long."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        commits: GroupCommit,
        committer: Committer,
        max_history_size: int,
    ) -> None:
        super().__init__(dispatcher, commits, committer)
        self._max_history_size = max_history_size

    async def complete_turn(self, hub: str, response: messages.OrchestratorResponse) -> None:
        instance = self._committer.instance(hub, response.instance_id)
        size = 0 if instance is None else instance.progress.history_length
        if size <= self._max_history_size:
            await super().complete_turn(hub, response)
        else:
            failure = _too_long(size, self._max_history_size)
            await super().complete_turn(
                hub,
                messages.OrchestratorResponse(
                    instance_id=response.instance_id,
                    actions=[responses.failed(failure)],
                    completion_token=response.completion_token,
                ),
            )


def _too_long(size: int, limit: int) -> messages.TaskFailureDetails:
    return messages.TaskFailureDetails(
        error_type="HistoryTooLong",
        error_message=(
            f"The history has {size} events, and no more than {limit} are allowed here. "
            "An orchestration that goes on for long can continue as new; the limit is "
            "max_history_size."
        ),
        is_non_retriable=True,
    )
