"""Say once how the store fails at something, and once that it does not any more.

A disk that is full fails every commit, and workers repeat what was refused: told each time,
it would fill the log, which may well be on the same disk.

Knows nothing about what is to be done about it.
"""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING

from .store import StoreError

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

_log = logging.getLogger("durabletask.sidecar")

# Different failures at once: more are not told. Whose failures are remembered: the last.
_MOST_TEXTS = 10
_MOST_KEYS = 1000


class Trouble:
    """One thing that the store may fail at, time and again; `what` follows "cannot"."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._failing: dict[Hashable, str] = {}
        self._keys_by_text: Counter[str] = Counter()

    @property
    def is_on(self) -> bool:
        """Whether something failed that did not go well since."""
        return bool(self._failing)

    def note(
        self, error: Exception, key: Hashable = None, about: Mapping[str, str | int] | None = None
    ) -> None:
        """Tell of the failure, unless it lasts, or others fail in the same way already.

        `about` says whose it is, to those who read logs by machine.
        """
        if not isinstance(error, StoreError):
            # Not the store's, but a defect of ours, and looked for each time that it shows.
            _log.error("cannot %s", self._what, exc_info=error, extra=about)
            return
        text = str(error)
        if self._failing.get(key) == text:
            return
        self._drop(key)
        if len(self._failing) == _MOST_KEYS:
            self._drop(next(iter(self._failing)))
        self._failing[key] = text
        self._keys_by_text[text] += 1
        if self._keys_by_text[text] == 1 and len(self._keys_by_text) <= _MOST_TEXTS:
            _log.error("cannot %s: %s", self._what, text, extra=about)

    def end(self, *keys: Hashable) -> None:
        """Take note that it went well for these."""
        if not self._failing:
            return
        for key in keys:
            self._drop(key)
        if not self._failing:
            _log.warning("can %s again", self._what)

    def _drop(self, key: Hashable) -> None:
        text = self._failing.pop(key, None)
        if text is None:
            return
        self._keys_by_text[text] -= 1
        if not self._keys_by_text[text]:
            # Nobody fails in that way any more: should somebody again, it is news.
            del self._keys_by_text[text]
