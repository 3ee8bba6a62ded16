"""Ids that nobody can guess, drawn many at a time: a system call costs more than an id."""

from __future__ import annotations

import os

# 128 random bits each.
_BYTES = 16
_DIGITS = 2 * _BYTES
_DRAWN_AT_ONCE = 256

_drawn: list[str] = []

if hasattr(os, "register_at_fork"):
    # Otherwise a forked child would use the ids that its parent uses.
    os.register_at_fork(after_in_child=_drawn.clear)


def new_id() -> str:
    """A new id in hexadecimal, different from all others; may be called in any thread."""
    while True:
        try:
            return _drawn.pop()
        except IndexError:
            digits = os.urandom(_BYTES * _DRAWN_AT_ONCE).hex()
            _drawn.extend(
                digits[start : start + _DIGITS] for start in range(0, len(digits), _DIGITS)
            )
