"""Make failure details from an exception, with what the user's properties provider adds.

Never raises: it runs where an exception is being reported, and a second one there would hide
the first. Whatever a provider does wrong is logged and ignored.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Protocol

from durabletask.failures.details import FailureDetails, portable, qualified_name
from durabletask.failures.errors import TaskFailedError

_logger = logging.getLogger("durabletask")

# An engine stores the details in every event they pass through; ten causes are enough.
_MOST_INNER_FAILURES = 10

# Numbers are sent as doubles.
_LARGEST_EXACT_INT = 2**53


class ExceptionPropertiesProvider(Protocol):
    """Adds properties to the failure details of an exception.

    Example:
        class Codes:
            def get_exception_properties(self, exception):
                return {"errno": exception.errno} if isinstance(exception, OSError) else None
    """

    def get_exception_properties(self, exception: Exception) -> Mapping[str, Any] | None:
        """The properties to add; None for none. Called for each exception of the chain."""
        ...


ExceptionPropertiesProvider.__module__ = "durabletask.exception_properties"


def properties_of(
    exception: BaseException, provider: ExceptionPropertiesProvider | None
) -> dict[str, Any] | None:
    """The provider's properties for the exception, as JSON values; None if there are none."""
    # The official signature promises providers an Exception, so they are not given SystemExit.
    if provider is None or not isinstance(exception, Exception):
        return None
    try:
        return _checked(provider.get_exception_properties(exception))
    except BaseException:  # user code, and a failure is being reported
        _logger.warning(
            "The exception properties provider failed for %s; its properties are left out",
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
    """The value as JSON can hold it; other types become text."""
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


def details_from_exception(
    exception: BaseException,
    *,
    properties_provider: ExceptionPropertiesProvider | None = None,
) -> FailureDetails:
    """The type, text, stack frames and causes of an exception.

    The details that a TaskFailedError carries become the inner failure. Otherwise that is the
    exception's cause or, without one, its context.
    """
    chain = _chain(exception)
    origin = chain[-1]
    inner = origin.details if isinstance(origin, TaskFailedError) else None
    for link in reversed(chain):
        inner = FailureDetails(
            message=_message(link),
            error_type=qualified_name(type(link)),
            # Frames only: type and message have the exception's own line.
            stack_trace=portable("".join(traceback.format_tb(link.__traceback__))),
            inner_failure=inner,
            properties=properties_of(link, properties_provider),
        )
    assert inner is not None  # the chain holds at least the exception itself
    return inner


def _chain(exception: BaseException) -> list[BaseException]:
    """The exception and its causes, outermost first; ends at a cycle or a failed task."""
    chain = [exception]
    while len(chain) <= _MOST_INNER_FAILURES and not isinstance(chain[-1], TaskFailedError):
        # Also suppressed contexts (`raise ... from None`), as in the official SDK: they help
        # readers of logs.
        cause = chain[-1].__cause__
        if cause is None:
            # Not `or`: an exception may count as false.
            cause = chain[-1].__context__
        if cause is None or any(cause is link for link in chain):
            break
        chain.append(cause)
    return chain


def _message(exception: BaseException) -> str:
    try:
        return portable(str(exception))
    except BaseException as error:  # noqa: BLE001  # user code, and a failure is being reported
        return f"<str() of this exception raised {qualified_name(type(error))}>"
