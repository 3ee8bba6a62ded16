"""Errors for requests that the sidecar cannot carry out now but may carry out later."""

from __future__ import annotations


class CommitFailedError(Exception):
    """The transaction failed and nothing of it is stored; it may be repeated."""


class ResourceExhaustedError(Exception):
    """A limit on resources is reached; the text names the limit and its value."""


class ShuttingDownError(Exception):
    """The sidecar is stopping; repeat the request once it has started again."""
