"""Make failure details from an exception.

Never raises: it runs where an exception is being reported, and a second one there would
hide the first.
"""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

from durabletask.failures.details import FailureDetails, portable, qualified_name
from durabletask.failures.outcomes import TaskFailedError
from durabletask.failures.properties import properties_of

if TYPE_CHECKING:
    from durabletask.failures.properties import ExceptionPropertiesProvider

# An engine stores the details in every event they pass through; ten causes tell enough.
_MOST_INNER_FAILURES = 10


def details_from_exception(
    exception: BaseException,
    *,
    properties_provider: ExceptionPropertiesProvider | None = None,
) -> FailureDetails:
    """Tell what happened in a form that travels: type, text, frames and causes.

    A failed task carries the details of what failed on the other side; they become the inner
    failure. Otherwise that is the exception's cause or, without one, its context.
    """
    chain = _chain(exception)
    origin = chain[-1]
    inner = origin.details if isinstance(origin, TaskFailedError) else None
    for link in reversed(chain):
        inner = FailureDetails(
            message=_message(link),
            error_type=qualified_name(type(link)),
            # Frames only: the exception's own line is told by type and message.
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
        # Suppressed contexts are told too (`raise ... from None`), as the official SDK does:
        # it is for a reader of logs, and more helps there.
        cause = chain[-1].__cause__ or chain[-1].__context__
        if cause is None or any(cause is link for link in chain):
            break
        chain.append(cause)
    return chain


def _message(exception: BaseException) -> str:
    try:
        return portable(str(exception))
    except BaseException as error:  # noqa: BLE001  # user code, and a failure is being reported
        return f"<str() of this exception raised {qualified_name(type(error))}>"
