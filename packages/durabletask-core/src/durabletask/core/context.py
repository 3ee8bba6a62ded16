"""The context that orchestrators are given: turns what they ask for into actions.

After its machine is closed a context still serves `finally` blocks, but the actions they ask
for are not sent, and they count as replaying.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from durabletask.core import actions, arguments
from durabletask.core.actions import payload
from durabletask.core.critical_sections import CriticalSections
from durabletask.core.determinism import ReplayClock, as_utc, call_uuid, nth_uuid
from durabletask.core.entity_calls import EntityCalls
from durabletask.core.external_events import ExternalEvents
from durabletask.core.history_lookahead import HistoryLookahead
from durabletask.core.outcome import ContinuedAsNew
from durabletask.core.patches import Patches
from durabletask.core.pending_actions import PendingActions
from durabletask.core.pending_calls import PendingCalls
from durabletask.core.timers import Timers
from durabletask.entities import EntityInstanceId
from durabletask.serialization import type_discovery
from durabletask.serialization.checks import serialized
from durabletask.task import OrchestrationContext, TimerTask, get_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import timedelta

    from durabletask.core.actions import Payload
    from durabletask.core.settings import Settings
    from durabletask.entities import EntityLock
    from durabletask.task import CancellableTask, CompletableTask, RetryPolicy


class ReplayedContext(OrchestrationContext):
    """An orchestration's context, and the state behind it, which the machine reads and updates."""

    __slots__ = (
        "_instance_id",
        "_settings",
        "_uuids",
        "activities",
        "children",
        "clock",
        "continued_as_new",
        "custom_status",
        "entity_calls",
        "events",
        "lookahead",
        "parent",
        "patches",
        "pending_actions",
        "replaying",
        "sections",
        "timers",
        "version_label",
    )

    def __init__(self, instance_id: str, settings: Settings) -> None:
        self._instance_id = instance_id
        self._settings = settings
        self._uuids = 0
        self.pending_actions = PendingActions()
        self.clock = ReplayClock()
        self.timers = Timers(
            self.pending_actions,
            self.clock,
            settings.maximum_timer_interval,
            records_origins=settings.engine.records_versions,
        )
        self.lookahead = HistoryLookahead(instance_id)
        self.patches = Patches()
        self.activities = self._calls(f"{instance_id}: Activity")
        self.children = self._calls("Sub-orchestration")
        self.events = ExternalEvents(self.timers, settings.data_converter)
        self.sections = CriticalSections(instance_id, self.pending_actions)
        self.entity_calls = EntityCalls(
            self.pending_actions, self.sections, settings.data_converter
        )
        self.parent: str | None = None
        self.version_label: str | None = None
        self.replaying = True
        self.custom_status: str | None = None
        self.continued_as_new: ContinuedAsNew | None = None

    @property
    def instance_id(self) -> str:
        return self._instance_id

    @property
    def parent_instance_id(self) -> str | None:
        return self.parent

    @property
    def version(self) -> str | None:
        return self.version_label

    @property
    def current_utc_datetime(self) -> datetime:
        return self.clock.now.replace(tzinfo=None)

    @property
    def is_replaying(self) -> bool:
        return self.replaying

    def set_custom_status(self, custom_status: Any) -> None:
        self.custom_status = serialized(custom_status, self._settings.data_converter)

    def create_timer(self, fire_at: datetime | timedelta) -> TimerTask:
        arguments.time(fire_at, "fire_at")
        task = TimerTask()
        timer = self.timers.start(self.clock.time_of(fire_at), lambda: task.complete(None))
        task.set_cancel_handler(lambda: self.timers.cancel(timer))
        return task

    def call_activity(
        self,
        activity: str | Callable[..., Any],
        *,
        input: Any = None,
        retry_policy: RetryPolicy | None = None,
        tags: dict[str, str] | None = None,
        return_type: type | None = None,
    ) -> CompletableTask[Any]:
        id = self.pending_actions.next_id()
        name, result_type = self._callee(activity, return_type)
        action = actions.call_activity(
            id,
            name,
            self._payload(input),
            tags=arguments.tags(tags),
            call_id=self._call_id(id),
        )
        return self.activities.start(action, result_type, retry_policy)

    def call_sub_orchestrator(
        self,
        orchestrator: str | Callable[..., Any],
        *,
        input: Any = None,
        instance_id: str | None = None,
        retry_policy: RetryPolicy | None = None,
        version: str | None = None,
        return_type: type | None = None,
    ) -> CompletableTask[Any]:
        id = self.pending_actions.next_id()
        self.sections.check_child()
        name, result_type = self._callee(orchestrator, return_type)
        action = actions.call_sub_orchestrator(
            id,
            name,
            self._payload(input),
            instance_id=arguments.optional_text(instance_id, "instance_id")
            or f"{self._instance_id}:{id:04x}",
            version=arguments.optional_text(version, "version") or self._settings.default_version,
        )
        return self.children.start(action, result_type, retry_policy)

    def call_entity(
        self,
        entity: EntityInstanceId,
        operation: str,
        input: Any = None,
        *,
        return_type: type | None = None,
    ) -> CompletableTask[Any]:
        id = self.pending_actions.next_id()
        arguments.instance_of(EntityInstanceId, entity, "entity")
        arguments.text(operation, "operation")
        self._settings.engine.check_entities("call_entity")
        self.sections.check_call(entity)
        content = self._payload(input)
        action = actions.call_entity(
            id,
            operation,
            str(entity),
            content,
            request_id=self.new_uuid(),
            parent=self._instance_id,
        )
        return self.entity_calls.start(action, entity, return_type)

    def signal_entity(
        self,
        entity_id: EntityInstanceId,
        operation_name: str,
        input: Any = None,
        signal_time: datetime | None = None,
    ) -> None:
        id = self.pending_actions.next_id()
        arguments.instance_of(EntityInstanceId, entity_id, "entity_id")
        arguments.text(operation_name, "operation_name")
        due = None
        if signal_time is not None:
            due = as_utc(arguments.instance_of(datetime, signal_time, "signal_time"))
        self._settings.engine.check_entities("signal_entity")
        self.sections.check_signal(entity_id)
        action = actions.signal_entity(
            id,
            operation_name,
            str(entity_id),
            self._payload(input),
            request_id=self.new_uuid(),
            due=due,
        )
        self.pending_actions.add(action)

    def lock_entities(self, entities: Iterable[EntityInstanceId]) -> CompletableTask[EntityLock]:
        id = self.pending_actions.next_id()
        wanted = [
            arguments.instance_of(EntityInstanceId, entity, "each of entities")
            for entity in entities
        ]
        self._settings.engine.check_entities("lock_entities")
        self.sections.check_enter()
        return self.sections.enter(id, self.new_uuid(), wanted)

    def wait_for_external_event(
        self,
        name: str,
        *,
        data_type: type | None = None,
        timeout: timedelta | datetime | None = None,
    ) -> CancellableTask[Any]:
        arguments.text(name, "name")
        until = None
        if timeout is not None:
            until = self.clock.time_of(arguments.time(timeout, "timeout"))
        return self.events.wait(name, data_type, until)

    def send_event(self, instance_id: str, event_name: str, *, data: Any = None) -> None:
        arguments.text(instance_id, "instance_id")
        arguments.text(event_name, "event_name")
        if not instance_id.strip():
            raise ValueError("instance_id cannot be empty")
        if instance_id.startswith("@"):
            raise ValueError(
                f"'{instance_id}' is the id of an entity, and entities take operations, not events. "
                "Use signal_entity instead."
            )
        if not event_name.strip():
            raise ValueError("event_name cannot be empty")
        id = self.pending_actions.next_id()
        content = self._payload(data)
        self.pending_actions.add(actions.send_event(id, event_name, instance_id, content))

    def continue_as_new(
        self, new_input: Any, *, save_events: bool = False, new_version: str | None = None
    ) -> None:
        if self.continued_as_new is None:
            self.continued_as_new = ContinuedAsNew(
                serialized(new_input, self._settings.data_converter),
                save_events,
                arguments.optional_text(new_version, "new_version"),
            )

    def is_patched(self, patch: str) -> bool:
        arguments.text(patch, "patch")
        self._settings.engine.check_patches()
        return self.patches.is_on(patch, replaying=self.replaying)

    def new_uuid(self) -> str:
        n = self._uuids
        self._uuids += 1
        return nth_uuid(self._instance_id, self.clock.now, n)

    def _calls(self, failure_prefix: str) -> PendingCalls:
        return PendingCalls(
            self.pending_actions,
            self.clock,
            self.timers,
            self.lookahead,
            converter=self._settings.data_converter,
            failure_prefix=failure_prefix,
            unique_ids=self._settings.engine.unique_action_ids,
        )

    def _call_id(self, id: int) -> str:
        if not self._settings.engine.records_versions:
            return ""
        return call_uuid(self._instance_id, self.clock.now, id)

    def _callee(
        self, function: str | Callable[..., Any], return_type: type | None
    ) -> tuple[str, Any]:
        if isinstance(function, str):
            return arguments.text(function, "name"), return_type
        name = arguments.text(get_name(function), "name")
        if return_type is None:
            return name, type_discovery.return_type(function, self._settings.data_converter)
        return name, return_type

    def _payload(self, value: Any) -> Payload:
        return payload(value, self._settings.data_converter, replaying=self.replaying)
