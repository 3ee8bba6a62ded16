"""Both vendors' contracts, messages made from them, and random messages of ours.

A vendor's messages are built from its contract by protobuf's own implementation, in a pool of
their own: an oracle that shares nothing with the codec. `Vendor.of` copies a message of ours
field by field and by name, so that numbers and bytes are compared.
"""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    duration_pb2,
    empty_pb2,
    message_factory,
    struct_pb2,
    timestamp_pb2,
    wrappers_pb2,
)

from durabletask.protocol import dialects, messages

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from durabletask.protocol.dialects import Dialect

CONTRACTS = Path(__file__).parent.parent / "protocol" / "contracts"

# Dapr says workflow and child workflow for the same things; two of its requests have
# Microsoft's names with other fields in them.
_DAPR_MESSAGES = {
    "ChildWorkflowInstanceCompletedEvent": "SubOrchestrationInstanceCompletedEvent",
    "ChildWorkflowInstanceCreatedEvent": "SubOrchestrationInstanceCreatedEvent",
    "ChildWorkflowInstanceFailedEvent": "SubOrchestrationInstanceFailedEvent",
    "CompleteWorkflowAction": "CompleteOrchestrationAction",
    "CreateChildWorkflowAction": "CreateSubOrchestrationAction",
    "CreateDetachedWorkflowAction": "CreateDetachedOrchestrationAction",
    "DetachedWorkflowInstanceCreatedEvent": "DetachedOrchestrationInstanceCreatedEvent",
    "ListInstanceIDsRequest": "PageInstanceIdsRequest",
    "ListInstanceIDsResponse": "PageInstanceIdsResponse",
    "RerunWorkflowFromEventRequest": "RerunOrchestrationFromEventRequest",
    "RerunWorkflowFromEventResponse": "RerunOrchestrationFromEventResponse",
    "TerminateWorkflowAction": "TerminateOrchestrationAction",
    "TimerOriginChildWorkflowRetry": "TimerOriginSubOrchestrationRetry",
    "WorkflowAction": "OrchestratorAction",
    "WorkflowCompletedEvent": "OrchestratorCompletedEvent",
    "WorkflowInstance": "OrchestrationInstance",
    "WorkflowRequest": "OrchestratorRequest",
    "WorkflowResponse": "OrchestratorResponse",
    "WorkflowStartedEvent": "OrchestratorStartedEvent",
    "WorkflowState": "OrchestrationState",
    "WorkflowVersion": "OrchestrationVersion",
    "WorkflowVersionNotAvailableAction": "OrchestrationVersionNotAvailableAction",
}
_DAPR_FIELDS = {
    "workflow_started": "orchestrator_started",
    "workflow_completed": "orchestrator_completed",
    "workflow_request": "orchestrator_request",
}

LEFT_OUT = {
    # The content of `payload` in the attestations, which is signed as bytes and checked by
    # engines among themselves.
    "ActivityCompletionAttestationPayload",
    "ChildCompletionAttestationPayload",
    "ActivityTerminalStatus",
    "TerminalStatus",
    # Part of an engine's store; on no message of the service.
    "ExternalSigningCertificate",
}
"""Messages and enums of the contracts that we have no use for."""


@dataclass(frozen=True)
class VendorField:
    """A field as the contract has it, and our name for it."""

    number: int
    name: str
    type: str
    ours: str


class Vendor:
    """One vendor's contract, and the messages made from it."""

    def __init__(self, name: str, dialect: Dialect) -> None:
        self.name = name
        self.dialect = dialect
        self.contract = json.loads((CONTRACTS / f"{name}.json").read_text(encoding="utf-8"))
        self._pool = _pool(self.contract, f"{name}.proto")
        self._vendor_names = {self.our_name(message): message for message in self.messages}

    @property
    def messages(self) -> list[str]:
        """The vendor's names of the messages that we have too."""
        return [name for name in self.contract["messages"] if name not in LEFT_OUT]

    def our_name(self, message: str) -> str:
        return _DAPR_MESSAGES.get(message, message) if self.name == "dapr" else message

    def our_class(self, message: str) -> type[Any]:
        found: type[Any] = getattr(messages, self.our_name(message))
        return found

    def fields(self, message: str) -> list[VendorField]:
        return [
            VendorField(
                field["number"], field["name"], field["type"], self._our_field_name(field["name"])
            )
            for field in self.contract["messages"][message]["fields"]
        ]

    def parse(self, message: str, raw: bytes) -> Any:
        made = self._make(message)
        made.ParseFromString(raw)
        return made

    def of(self, ours: Any) -> Any:
        """The vendor's message that says what our message says."""
        message = self._vendor_names[type(ours).__name__]
        made = self._make(message)
        for field in self.fields(message):
            self._carry(made, field, getattr(ours, field.ours))
        return made

    def _make(self, message: str) -> Any:
        return message_factory.GetMessageClass(self._pool.FindMessageTypeByName(message))()

    def _our_field_name(self, name: str) -> str:
        snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
        if self.name != "dapr":
            return snake
        if snake in _DAPR_FIELDS:
            return _DAPR_FIELDS[snake]
        return snake.replace("child_workflow", "sub_orchestration").replace(
            "workflow", "orchestration"
        )

    def _carry(self, made: Any, field: VendorField, value: Any) -> None:
        if value is None or value in ([], {}):
            return
        if isinstance(value, list):
            self._carry_list(getattr(made, field.name), field, value)
        elif isinstance(value, dict):
            self._carry_map(getattr(made, field.name), field, value)
        elif field.type.startswith("google.protobuf."):
            self._carry_well_known(getattr(made, field.name), value)
        elif dataclasses.is_dataclass(value):
            getattr(made, field.name).CopyFrom(self.of(value))
        else:
            setattr(made, field.name, self._number(field, value))

    def _carry_list(self, target: Any, field: VendorField, values: list[Any]) -> None:
        for value in values:
            if field.type.startswith("google.protobuf."):
                self._carry_well_known(target.add(), value)
            elif dataclasses.is_dataclass(value):
                target.append(self.of(value))
            else:
                target.append(self._number(field, value))

    def _carry_map(self, target: Any, field: VendorField, values: dict[str, str]) -> None:
        for key, value in values.items():
            if field.type == "map<string, google.protobuf.Value>":
                _fill_value(target[key], json.loads(value))
            else:
                target[key] = value

    def _carry_well_known(self, target: Any, value: Any) -> None:
        target.SetInParent()
        if isinstance(value, datetime):
            since = value - datetime(1970, 1, 1, tzinfo=UTC)
            target.seconds = since // timedelta(seconds=1)
            target.nanos = value.microsecond * 1000
            if self.name == "dapr" and value == datetime.max.replace(tzinfo=UTC):
                target.nanos += 999
        elif isinstance(value, timedelta):
            micros = value // timedelta(microseconds=1)
            sign = -1 if micros < 0 else 1
            target.seconds = sign * (abs(micros) // 1_000_000)
            target.nanos = sign * (abs(micros) % 1_000_000) * 1000
        else:
            target.value = value

    def _number(self, field: VendorField, value: Any) -> Any:
        if field.type == "WorkerCapability" and self.name == "dapr" and value == 1002:
            return 2
        return int(value) if field.type in self.contract["enums"] else value


@cache
def vendors() -> tuple[Vendor, ...]:
    return (Vendor("taskhub", dialects.TASKHUB), Vendor("dapr", dialects.DAPR))


def vendor_messages() -> Iterator[tuple[Vendor, str]]:
    for vendor in vendors():
        for message in vendor.messages:
            yield vendor, message


def all_classes() -> list[type[Any]]:
    """Every message of ours."""
    from durabletask.protocol.messages import _generated

    found = (getattr(_generated, name) for name in _generated.__all__)
    return [value for value in found if isinstance(value, type) and dataclasses.is_dataclass(value)]


class RandomMessages:
    """Random messages of ours, with the values that make codecs stumble."""

    def __init__(self, rng: random.Random, dialect: Dialect = dialects.NATIVE) -> None:
        self._rng = rng
        self._dialect = dialect

    def make(self, message_class: type[Any], depth: int = 3) -> Any:
        values: dict[str, Any] = {}
        chosen = self._choose(message_class, depth)
        for field in dataclasses.fields(message_class):
            if field.name in chosen:
                values[field.name] = self._value(message_class, field, depth)
        return message_class(**values)

    def _choose(self, message_class: type[Any], depth: int) -> set[str]:
        """Which fields to set: each with some chance, but one member of a oneof at most."""
        chosen = set()
        members = []
        for field in dataclasses.fields(message_class):
            meta = field.metadata["betterproto"]
            number = self._dialect.field_number(message_class.__name__, field.name, meta.number)
            nested = meta.proto_type == "message" and meta.unwrap is None
            if number is None or (nested and not depth):
                continue
            if meta.group:
                members.append(field.name)
            elif self._rng.random() < 0.6:
                chosen.add(field.name)
        if members and self._rng.random() < 0.9:
            chosen.add(self._rng.choice(members))
        return chosen

    def _value(self, message_class: type[Any], field: dataclasses.Field[Any], depth: int) -> Any:
        meta = field.metadata["betterproto"]
        if meta.proto_type == "map":
            is_json = field.name == "properties"
            make = self._json if is_json else self._text
            return {self._text(): make() for _ in range(self._rng.randrange(4))}
        if meta.repeated:
            return [
                self._one(message_class, field, depth - 1) for _ in range(self._rng.randrange(4))
            ]
        return self._one(message_class, field, depth - 1)

    def _one(self, message_class: type[Any], field: dataclasses.Field[Any], depth: int) -> Any:
        meta = field.metadata["betterproto"]
        if meta.proto_type == "enum":
            return self._enum(_named_type(message_class, field))
        if meta.proto_type == "message" and meta.unwrap is None:
            return self.make(_named_type(message_class, field), depth)
        kind = meta.unwrap().__name__ if meta.unwrap else meta.proto_type
        return {
            "string": self._text,
            "StringValue": self._text,
            "bytes": lambda: self._text().encode(),
            "bool": lambda: self._rng.random() < 0.5,
            "BoolValue": lambda: self._rng.random() < 0.5,
            "int32": self._int32,
            "Int32Value": self._int32,
            "uint32": lambda: self._rng.choice([0, 1, 127, 128, 2**31, 2**32 - 1]),
            "Timestamp": self._time,
            "Duration": self._span,
        }[kind]()

    def _text(self) -> str:
        size = self._rng.choice([0, 1, 2, 5, 125, 126, 127, 128, 129, 130, 300])
        # Plain half of the time: then the sizes are those in bytes too.
        alphabet = self._rng.choice(["aZ0 \n", 'a\0"é中\U0001f600'])
        return "".join(self._rng.choice(alphabet) for _ in range(size))

    def _int32(self) -> int:
        edges = [0, 1, -1, 127, 128, 16383, 16384, 2**31 - 1, -(2**31)]
        return self._rng.choice([*edges, self._rng.randrange(-(2**31), 2**31)])

    def _enum(self, enum: type[Any]) -> Any:
        known = [m for m in enum if self._dialect.enum_value(enum.__name__, m) is not None]
        return self._rng.choice([*known, enum(77)])

    def _time(self) -> datetime:
        edges = [
            datetime.min,
            datetime.max,
            datetime(1970, 1, 1),
            datetime(1969, 12, 31, 23, 59, 59, 999_999),
            datetime(2106, 2, 7, 6, 28, 15, 999_999),
            datetime(2106, 2, 7, 6, 28, 16),
        ]
        near = datetime(2026, 1, 1) + timedelta(microseconds=self._rng.randrange(10**15))
        return self._rng.choice([*edges, near, near, near]).replace(tzinfo=UTC)

    def _span(self) -> timedelta:
        micros = self._rng.choice([0, 1, -1, 999_999, -1_000_000, -1_500_000, 10**15])
        return timedelta(microseconds=micros)

    def _json(self) -> str:
        return self._rng.choice(
            [
                *("null", "true", "false", "0", "-3", "1.5", "1e+300", '""', '"é\\n"', "[]", "{}"),
                *('[1, "a", null, [true]]', '{"": {"b": [{"c": null}, 2]}}', f'"{"x" * 200}"'),
            ]
        )


def _named_type(message_class: type[Any], field: dataclasses.Field[Any]) -> type[Any]:
    name = str(field.type).removesuffix(" | None").removeprefix("list[").removesuffix("]")
    found: type[Any] = getattr(messages, name)
    return found


def _fill_value(target: Any, value: Any) -> None:
    if value is None:
        target.null_value = 0
    elif isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, (int, float)):
        target.number_value = value
    elif isinstance(value, str):
        target.string_value = value
    elif isinstance(value, dict):
        target.struct_value.SetInParent()
        for key, item in value.items():
            _fill_value(target.struct_value.fields[key], item)
    else:
        target.list_value.SetInParent()
        for item in value:
            _fill_value(target.list_value.values.add(), item)


# The contract as protobuf's descriptors.

_Proto = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "string": _Proto.TYPE_STRING,
    "bytes": _Proto.TYPE_BYTES,
    "bool": _Proto.TYPE_BOOL,
    "int32": _Proto.TYPE_INT32,
    "uint32": _Proto.TYPE_UINT32,
}
_WELL_KNOWN = (duration_pb2, empty_pb2, struct_pb2, timestamp_pb2, wrappers_pb2)


def _pool(contract: dict[str, Any], filename: str) -> descriptor_pool.DescriptorPool:
    # Not the default pool: the official package puts its symbols there.
    pool = descriptor_pool.DescriptorPool()
    file = descriptor_pb2.FileDescriptorProto(name=filename, syntax="proto3")
    for module in _WELL_KNOWN:
        pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
        file.dependency.append(module.DESCRIPTOR.name)
    for name, values in contract["enums"].items():
        enum = file.enum_type.add(name=name)
        for value, number in values.items():
            enum.value.add(name=value, number=number)
    for name, message in contract["messages"].items():
        _describe(file.message_type.add(name=name), message["fields"], set(contract["enums"]))
    pool.AddSerializedFile(file.SerializeToString())
    return pool


def _describe(message: Any, fields: list[dict[str, Any]], enums: set[str]) -> None:
    oneofs = list(dict.fromkeys(field["oneof"] for field in fields if "oneof" in field))
    for oneof in oneofs:
        message.oneof_decl.add(name=oneof)
    for field in fields:
        described = message.field.add(name=field["name"], number=field["number"])
        described.label = _Proto.LABEL_REPEATED if "repeated" in field else _Proto.LABEL_OPTIONAL
        _describe_type(message, described, field["type"], enums)
        if "oneof" in field:
            described.oneof_index = oneofs.index(field["oneof"])
        if field.get("optional"):
            # An optional field is the only member of a oneof that stands behind all others.
            described.proto3_optional = True
            described.oneof_index = len(message.oneof_decl)
            message.oneof_decl.add(name=f"_{field['name']}")


def _describe_type(message: Any, described: Any, type_name: str, enums: set[str]) -> None:
    if type_name in _SCALARS:
        described.type = _SCALARS[type_name]
    elif type_name in enums:
        described.type, described.type_name = _Proto.TYPE_ENUM, f".{type_name}"
    elif type_name.startswith("map<string, "):
        entry = described.name[0].upper() + described.name[1:] + "Entry"
        nested = message.nested_type.add(name=entry)
        nested.options.map_entry = True
        nested.field.add(name="key", number=1, label=1, type=_Proto.TYPE_STRING)
        value = nested.field.add(name="value", number=2, label=1)
        _describe_type(nested, value, type_name[len("map<string, ") : -1], enums)
        described.label = _Proto.LABEL_REPEATED
        described.type = _Proto.TYPE_MESSAGE
        described.type_name = f".{message.name}.{entry}"
    else:
        described.type, described.type_name = _Proto.TYPE_MESSAGE, f".{type_name}"
