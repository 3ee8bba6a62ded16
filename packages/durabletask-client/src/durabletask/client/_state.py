"""The state of an instance, as clients return it.

Times are naive UTC here, as programs written for the official SDK expect; everywhere else
they are aware. A status that this version does not know becomes a member of the enumeration.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar, overload

from durabletask import failures
from durabletask.serialization import DEFAULT_DATA_CONVERTER, DataConverter

if TYPE_CHECKING:
    from durabletask.failures import FailureDetails
    from durabletask.protocol import messages

T = TypeVar("T")

_EPOCH = datetime.fromtimestamp(0, UTC)


class OrchestrationStatus(Enum):
    """The status of an instance; `str()` gives the bare name.

    A number that is not listed, from a newer sidecar, becomes a member `STATUS_<number>`, so
    that one such instance does not make a whole page unreadable.
    """

    RUNNING = 0
    COMPLETED = 1
    CONTINUED_AS_NEW = 2
    FAILED = 3
    CANCELED = 4
    TERMINATED = 5
    PENDING = 6
    SUSPENDED = 7
    STALLED = 8

    def __str__(self) -> str:
        return self.name

    @classmethod
    def _missing_(cls, value: object) -> OrchestrationStatus | None:
        if not isinstance(value, int):
            return None
        member = object.__new__(cls)
        member._name_ = f"STATUS_{value}"
        member._value_ = value
        # Members are compared by identity, so there must be one for each number.
        known = cls._value2member_map_.setdefault(value, member)
        assert isinstance(known, cls)
        return known


@dataclass
class OrchestrationState:
    """The state of an instance at the time of the call.

    The `serialized_` fields are text as the converter wrote it, or None if there is no value
    or the call did not fetch payloads; the `get_` methods return values, converted to
    `expected_type` if that is given. All times are naive UTC.

    The fields from `version` on are not in the official SDK. They are empty if the sidecar
    does not send them; `scheduled_start` is also None for an instance without a start time, and
    `completed_at` for one that has not ended.
    """

    instance_id: str
    name: str
    runtime_status: OrchestrationStatus
    created_at: datetime
    last_updated_at: datetime
    serialized_input: str | None
    serialized_output: str | None
    serialized_custom_status: str | None
    failure_details: FailureDetails | None
    _data_converter: DataConverter = field(
        default=DEFAULT_DATA_CONVERTER, compare=False, repr=False
    )
    version: str | None = field(default=None, kw_only=True)
    tags: dict[str, str] = field(default_factory=dict, kw_only=True)
    execution_id: str | None = field(default=None, kw_only=True)
    parent_instance_id: str | None = field(default=None, kw_only=True)
    scheduled_start: datetime | None = field(default=None, kw_only=True)
    completed_at: datetime | None = field(default=None, kw_only=True)

    @overload
    def get_input(self, expected_type: type[T]) -> T | None: ...
    @overload
    def get_input(self, expected_type: None = None) -> Any: ...
    def get_input(self, expected_type: type[Any] | None = None) -> Any:
        """The input as a value, or None if there is none."""
        return self._value(self.serialized_input, expected_type)

    @overload
    def get_output(self, expected_type: type[T]) -> T | None: ...
    @overload
    def get_output(self, expected_type: None = None) -> Any: ...
    def get_output(self, expected_type: type[Any] | None = None) -> Any:
        """The output as a value, or None if there is none."""
        return self._value(self.serialized_output, expected_type)

    @overload
    def get_custom_status(self, expected_type: type[T]) -> T | None: ...
    @overload
    def get_custom_status(self, expected_type: None = None) -> Any: ...
    def get_custom_status(self, expected_type: type[Any] | None = None) -> Any:
        """The custom status as a value, or None if there is none."""
        return self._value(self.serialized_custom_status, expected_type)

    def raise_if_failed(self) -> None:
        """Raise OrchestrationFailedError if the instance failed; TERMINATED is not failed."""
        if self.failure_details is not None:
            raise failures.OrchestrationFailedError(
                f"Orchestration '{self.instance_id}' failed: {self.failure_details.message}",
                self.failure_details,
            )

    def _value(self, text: str | None, expected_type: type[Any] | None) -> Any:
        return None if text is None else self._data_converter.deserialize(text, expected_type)


def new_orchestration_state(
    instance_id: str,
    res: messages.GetInstanceResponse,
    data_converter: DataConverter | None = None,
) -> OrchestrationState | None:
    """The state in a response, or None if the response says that there is no such instance."""
    if not res.exists or res.orchestration_state is None:
        return None
    state = parse_orchestration_state(res.orchestration_state, data_converter)
    # The id as the caller wrote it; an engine may return it in another spelling.
    state.instance_id = instance_id
    return state


def parse_orchestration_state(
    state: messages.OrchestrationState, data_converter: DataConverter | None = None
) -> OrchestrationState:
    """The state in a message of the protocol. An empty payload is None: JSON is never empty."""
    return OrchestrationState(
        instance_id=state.instance_id,
        name=state.name,
        runtime_status=OrchestrationStatus(int(state.orchestration_status)),
        created_at=_naive_utc(state.created_timestamp or _EPOCH),
        last_updated_at=_naive_utc(state.last_updated_timestamp or _EPOCH),
        serialized_input=state.input or None,
        serialized_output=state.output or None,
        serialized_custom_status=state.custom_status or None,
        failure_details=_failure(state.failure_details),
        _data_converter=data_converter or DEFAULT_DATA_CONVERTER,
        version=state.version or None,
        tags=dict(state.tags),
        execution_id=state.execution_id or None,
        parent_instance_id=state.parent_instance_id or None,
        scheduled_start=_optional_naive_utc(state.scheduled_start_timestamp),
        completed_at=_optional_naive_utc(state.completed_timestamp),
    )


def _failure(message: messages.TaskFailureDetails | None) -> FailureDetails | None:
    # Some sidecars send an empty message with every state.
    if message is None or not (message.error_message or message.error_type):
        return None
    return failures.from_message(message)


def _naive_utc(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(tzinfo=None)


def _optional_naive_utc(at: datetime | None) -> datetime | None:
    return None if at is None else _naive_utc(at)
