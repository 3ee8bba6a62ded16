"""A logger that says each thing once, however often the orchestrator is replayed."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

# LoggerAdapter is generic for type checkers on every version, at run time it differs.
if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

    _LoggerAdapter = logging.LoggerAdapter[logging.Logger]
else:
    _LoggerAdapter = logging.LoggerAdapter


class ReplaySafeLogger(_LoggerAdapter):
    """Silent while the orchestrator is replaying; otherwise the logger it wraps.

    Get one from `OrchestrationContext.create_replay_safe_logger`.
    """

    __module__ = "durabletask.task"

    def __init__(self, logger: logging.Logger, is_replaying: Callable[[], bool]) -> None:
        super().__init__(logger, {})
        self._is_replaying = is_replaying

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802  # logging's name
        """Whether a record of that level would go out now."""
        return not self._is_replaying() and self.logger.isEnabledFor(level)

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        """The record as it is; an adapter would put its own `extra` in place of the caller's."""
        return msg, kwargs
