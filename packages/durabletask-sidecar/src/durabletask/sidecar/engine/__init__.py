"""The engine: what a command does to an instance, and nothing else.

    instance + command --apply--> transition

Pure: it is given the time and new ids, reads one instance at a time, and answers with a
delta. What must happen to other instances is part of that answer, as commands to them.

Knows nothing about stores, streams, leases or callers.
"""

from __future__ import annotations

from .engine import apply

__all__ = ["apply"]
