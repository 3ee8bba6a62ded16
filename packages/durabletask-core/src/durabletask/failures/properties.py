"""Ask the user's provider what else to tell about an exception, and make it plain JSON.

A provider runs while a failure is being reported: whatever it does wrong is logged and
forgotten, or the report of the real failure would be lost.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Protocol

from durabletask.failures.details import portable

_logger = logging.getLogger("durabletask")

# Numbers travel as doubles.
_LARGEST_EXACT_INT = 2**53


class ExceptionPropertiesProvider(Protocol):
    """Adds properties to the failure details of an exception.

    Example:
        class Codes:
            def get_exception_properties(self, exception):
                return {"errno": exception.errno} if isinstance(exception, OSError) else None
    """

    def get_exception_properties(self, exception: Exception) -> Mapping[str, Any] | None:
        """What to add; None for nothing. Called for each exception of the chain."""
        ...


ExceptionPropertiesProvider.__module__ = "durabletask.exception_properties"


def properties_of(
    exception: BaseException, provider: ExceptionPropertiesProvider | None
) -> dict[str, Any] | None:
    """What the provider says about the exception, as JSON values; None when it says nothing."""
    # The official signature promises providers an Exception, so SystemExit is kept from them.
    if provider is None or not isinstance(exception, Exception):
        return None
    try:
        return _checked(provider.get_exception_properties(exception))
    except BaseException:  # user code, and a failure is being reported
        _logger.warning(
            "The exception properties provider failed on %s; its properties are left out.",
            type(exception).__qualname__,
            exc_info=True,
        )
        return None


def _checked(answer: object) -> dict[str, Any] | None:
    if answer is None:
        return None
    if not isinstance(answer, Mapping):
        raise TypeError(f"expected a mapping or None, but it returned {type(answer).__qualname__}")
    return {portable(str(key)): _plain(value) for key, value in answer.items()}


def _plain(value: Any) -> Any:
    """The value in the vocabulary of JSON; what has no place there becomes text."""
    if value is None or isinstance(value, (bool, float)):
        return value
    if isinstance(value, int) and abs(value) <= _LARGEST_EXACT_INT:
        return int(value)
    if isinstance(value, (int, Decimal)):
        return float(value)
    if isinstance(value, Mapping):
        return {portable(str(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return portable(str(value))
