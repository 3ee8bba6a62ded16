"""What becomes of errors that a program's log handlers, filters and formatters raise."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


def log_errors_ignored() -> AbstractContextManager[object]:
    """Whatever logging raises within costs the record, and nothing that follows it.

    Around records that are logged before a work item is completed, handed back or released.
    """
    # SystemExit as well: asyncio stops the whole loop for one, and a thread would end.
    return contextlib.suppress(BaseException)
