"""Turn an activity request into a call, and the call's outcome into a response.

The worker makes the call, on a thread or on its event loop. For a request that cannot be
served (no such activity, unreadable input) the call raises, so that the worker has only one
case to handle. Deserializing the input and serializing the result run user code, which may
block or raise SystemExit, as the activity itself may: `prepare` does neither of them.

    call = prepare(request, registry, settings)
    try:
        outcome = Returned(await call.call() if call.is_async else call.call())
    except BaseException as error:
        outcome = Raised(error)
    response = finish(request, outcome, settings, completion_token=token)
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from durabletask.core.runner import CallOutcome, Raised, Returned
from durabletask.failures import (
    ActivityNotRegisteredError,
    details_from_exception,
    to_message,
)
from durabletask.protocol import messages
from durabletask.protocol.blank_messages import blank
from durabletask.serialization import type_discovery
from durabletask.serialization.checks import serialized
from durabletask.task import ActivityContext

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from durabletask.core.registry import Registry
    from durabletask.core.settings import Settings
    from durabletask.failures import FailureDetails

__all__ = ["ActivityCall", "CallOutcome", "Raised", "Returned", "finish", "prepare"]


# Not frozen, as that would triple the time to make one, and each work item makes some. None is
# changed once it is made.
@dataclass(slots=True)
class ActivityCall:
    """An activity with its arguments; `call` gives a coroutine if `is_async`, else the result.

    The result may be a coroutine as well: of a plain function that wraps an `async def`.
    """

    name: str
    is_async: bool
    call: Callable[[], Any]


def prepare(
    request: messages.ActivityRequest, registry: Registry, settings: Settings
) -> ActivityCall:
    """What to call; never raises, and runs no user code."""
    name = request.name
    try:
        function = registry.activity(name)
    except ActivityNotRegisteredError as error:
        return ActivityCall(name, False, partial(_raise, error))
    is_async = registry.is_async_activity(name)
    call = partial(_call_async if is_async else _call, request, function, settings)
    return ActivityCall(name, is_async, call)


def finish(
    request: messages.ActivityRequest,
    outcome: CallOutcome,
    settings: Settings,
    *,
    completion_token: str,
    on_failed: Callable[[BaseException, FailureDetails], None] | None = None,
) -> messages.ActivityResponse:
    """The outcome as the message that completes the request; never raises.

    `on_failed` is told of a failure, also of one to serialize the result; it must not raise.
    """
    result: str | None = None
    failure: FailureDetails | None = None
    if isinstance(outcome, Returned):
        try:
            result = serialized(outcome.value, settings.data_converter)
        # A hook such as `to_json` may want to exit as the activity may.
        except BaseException as problem:  # noqa: BLE001  # becomes the activity's failure
            outcome = Raised(problem)
    if isinstance(outcome, Raised):
        error = _explained(outcome.exception, request.name)
        failure = details_from_exception(
            error, properties_provider=settings.exception_properties_provider
        )
        if on_failed is not None:
            on_failed(error, failure)
    response = blank(messages.ActivityResponse)
    instance = request.orchestration_instance
    response.instance_id = instance.instance_id if instance is not None else ""
    response.task_id = request.task_id
    response.result = result
    response.failure_details = to_message(failure) if failure is not None else None
    response.completion_token = completion_token
    return response


def _call(
    request: messages.ActivityRequest, function: Callable[..., Any], settings: Settings
) -> Any:
    return function(*_arguments(request, function, settings))


async def _call_async(
    request: messages.ActivityRequest, function: Callable[..., Any], settings: Settings
) -> Any:
    return await function(*_arguments(request, function, settings))


def _arguments(
    request: messages.ActivityRequest, function: Callable[..., Any], settings: Settings
) -> tuple[Any, ...]:
    instance = request.orchestration_instance
    context = ActivityContext(
        instance.instance_id if instance is not None else "",
        request.task_id,
        task_execution_id=request.task_execution_id or None,
    )
    if not type_discovery.takes_input(function):
        return (context,)
    converter = settings.data_converter
    wanted = type_discovery.input_type(function, converter)
    return (context, converter.deserialize(request.input, wanted))


def _explained(exception: BaseException, name: str) -> BaseException:
    """The exception with a text; `sys.exit` and the like have none that says what happened."""
    if isinstance(exception, Exception):
        return exception
    kind = type(exception)
    try:
        text = str(exception)
        explained = kind(
            f"Activity '{name}' raised {kind.__name__}{f'({text})' if text else ''}. This fails "
            "the activity, and the worker goes on. To report a failure, raise an Exception. An "
            "activity cannot stop its worker: stop it from outside."
        )
    except BaseException:  # noqa: BLE001  # a type with a constructor or a text of its own
        return exception
    return explained.with_traceback(exception.__traceback__)


def _raise(error: Exception) -> NoReturn:
    raise error
