"""Arguments that the constructors of clients and workers have in common.

A logger of the library stands in the tree of loggers, where the program configures it. The two
arguments that the official SDK deprecates still get a logger of their own.
"""

from __future__ import annotations

import logging
import warnings


def choose_logger(
    name: str,
    logger: logging.Logger | None,
    handler: logging.Handler | None,
    formatter: logging.Formatter | None,
    *,
    stacklevel: int = 3,
) -> logging.Logger:
    """The given logger, or one with that handler and formatter, or the one of that name.

    `stacklevel` leads the warning to the line that made the client or worker; 3 is right for
    a call from its constructor.
    """
    if handler is None and formatter is None:
        return logger or logging.getLogger(name)
    if logger is not None:
        raise ValueError("Give either logger or log_handler and log_formatter, not both.")
    warnings.warn(
        "log_handler and log_formatter are deprecated; configure a logger and pass it as logger.",
        DeprecationWarning,
        stacklevel=stacklevel,
    )
    handler = handler or logging.StreamHandler()
    handler.setFormatter(formatter or handler.formatter)
    own = logging.Logger(name, logging.INFO)  # noqa: LOG001 - not one of the program's tree
    own.addHandler(handler)
    return own


def refuse_payload_store(payload_store: object | None) -> None:
    """Raise NotImplementedError for a payload store: large payloads would be sent in full."""
    if payload_store is not None:
        raise NotImplementedError("This version cannot keep payloads in a payload_store yet.")
