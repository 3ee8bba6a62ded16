"""The engine: the rules that say what a command does to an instance.

    instance + command --apply--> transition

Does no I/O: the time and new ids are arguments. It reads one instance at a time and returns
a transition, the changes to that instance. What has to happen to other instances is part of
the transition, as commands to them.
"""

from __future__ import annotations

from .rules import apply

__all__ = ["apply"]
