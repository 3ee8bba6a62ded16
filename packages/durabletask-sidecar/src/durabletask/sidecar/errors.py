"""Why the sidecar cannot do now what it was asked to do; asked again later, it may.

Knows nothing about who asked, or for what.
"""

from __future__ import annotations


class StorageError(Exception):
    """The transaction failed; nothing of it is stored, and it may be tried again."""


class CrowdedError(Exception):
    """There are as many of something as may be; the text says of what, and how many."""


class ShuttingDownError(Exception):
    """The sidecar stops; what was asked of it may come true after its next start."""
