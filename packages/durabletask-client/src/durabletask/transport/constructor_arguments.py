"""Arguments that the constructors of clients and workers have in common.

A logger of the library is in the tree of loggers, where the program configures it. The two
arguments that the official SDK deprecates still get a logger of their own. Every record has the
name of the task hub, as its field `hub`.
"""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import MutableMapping, Sequence

# The metadata that names the task hub, and the hub if there is none.
_HUB_KEY = "taskhub"
_DEFAULT_HUB = "default"


class HubLogger(logging.LoggerAdapter[logging.Logger]):
    """Adds the name of the task hub, as `hub`, to the fields of each record.

    A field that the program's own record factory sets keeps the program's value.
    """

    def __init__(self, logger: logging.Logger, hub: str) -> None:
        super().__init__(logger, {"hub": hub})
        self._factory_and_fields: tuple[Any, frozenset[str]] = (None, frozenset())

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        # LoggerAdapter itself drops the fields of the call before Python 3.13.
        fields = {**(self.extra or {}), **(kwargs.get("extra") or {})}
        present = self._fields_of_records()
        kwargs["extra"] = {name: it for name, it in fields.items() if name not in present}
        return msg, kwargs

    def _fields_of_records(self) -> frozenset[str]:
        """The fields that every record has: logging raises KeyError for an `extra` among them."""
        factory, fields = self._factory_and_fields
        current = logging.getLogRecordFactory()
        if factory is not current:
            fields = frozenset(vars(current("", logging.INFO, "", 0, "", (), None)))
            self._factory_and_fields = (current, fields)
        return fields


def choose_logger(
    name: str,
    logger: logging.Logger | None,
    handler: logging.Handler | None,
    formatter: logging.Formatter | None,
    *,
    metadata: Sequence[tuple[str, str]] | None,
    stacklevel: int = 3,
) -> HubLogger:
    """The given logger, or one with that handler and formatter, or the one of that name.

    `metadata` names the task hub. `stacklevel` leads the warning to the line that made the
    client or worker; 3 is right for a call from its constructor.
    """
    hub = dict(metadata or ()).get(_HUB_KEY) or _DEFAULT_HUB
    # One frame more: the function that warns.
    chosen = _logger(name, logger, handler, formatter, stacklevel=stacklevel + 1)
    return HubLogger(chosen, hub)


def _logger(
    name: str,
    logger: logging.Logger | None,
    handler: logging.Handler | None,
    formatter: logging.Formatter | None,
    *,
    stacklevel: int,
) -> logging.Logger:
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
