"""What a worker is told to host: the official calls and texts, and decorators beside them."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, cast

import pytest

from durabletask.entities import DurableEntity, EntityContext
from durabletask.task import ActivityContext, OrchestrationContext, get_name
from durabletask.worker import (
    ActivityWorkItemFilter,
    TaskHubGrpcWorker,
    VersioningOptions,
    VersionMatchStrategy,
    WorkItemFilters,
)
from tests.builders.worker import ScriptedSidecars

if TYPE_CHECKING:
    from collections.abc import Callable


def greet(ctx: ActivityContext, name: str) -> str:
    return f"Hello {name}!"


def hello(ctx: OrchestrationContext) -> str:
    return "hello"


class Counter(DurableEntity):
    def add(self, amount: int) -> None: ...


def test_the_official_calls_return_the_name() -> None:
    worker = TaskHubGrpcWorker()

    assert worker.add_activity(greet) == "greet"
    assert worker.add_orchestrator(hello) == "hello"


@pytest.mark.parametrize("kind", ["orchestrator", "activity"])
def test_a_bare_decorator_registers_and_returns_the_function(kind: str) -> None:
    worker = TaskHubGrpcWorker()

    assert getattr(worker, kind)(greet) is greet
    with pytest.raises(ValueError, match=f"A 'greet' {kind} already exists"):
        getattr(worker, f"add_{kind}")(greet)


@pytest.mark.parametrize("kind", ["orchestrator", "activity"])
def test_a_decorator_can_give_another_name_which_calls_by_reference_use(kind: str) -> None:
    worker = TaskHubGrpcWorker()

    @getattr(worker, kind)(name="salute")  # type: ignore[untyped-decorator]
    def local(ctx: Any) -> None: ...

    assert get_name(local) == "salute"
    with pytest.raises(ValueError, match=f"A 'salute' {kind} already exists"):
        getattr(worker, kind)(name="salute")(local)


def test_of_several_names_calls_by_reference_use_the_last() -> None:
    worker = TaskHubGrpcWorker()

    @worker.activity(name="one")
    def two(ctx: ActivityContext) -> None: ...

    worker.activity(name="two")(two)

    assert get_name(two) == "two"


@pytest.mark.parametrize("kind", ["orchestrator", "activity"])
def test_a_name_in_place_of_the_function_is_refused_with_the_way_to_give_it(kind: str) -> None:
    worker = TaskHubGrpcWorker()

    with pytest.raises(TypeError, match=rf"@worker\.{kind}\(name='salute'\)"):
        getattr(worker, kind)("salute")


def count(ctx: EntityContext, input: Any) -> None: ...


def test_entities_are_functions_or_classes_and_keep_their_names_as_written() -> None:
    worker = TaskHubGrpcWorker()

    assert worker.add_entity(count) == "count"
    assert worker.add_entity(Counter) == "Counter"
    assert worker.add_entity(Counter, "Basket") == "Basket"
    assert worker.add_entity(Counter, name="Ledger") == "Ledger"


def test_names_of_entities_have_no_case() -> None:
    worker = TaskHubGrpcWorker()
    worker.add_entity(Counter)

    with pytest.raises(ValueError, match="A 'counter' entity already exists"):
        worker.add_entity(count, "COUNTER")


def test_a_decorated_entity_stays_what_it_is() -> None:
    worker = TaskHubGrpcWorker()

    assert worker.entity(Counter) is Counter
    assert worker.entity()(count) is count
    assert worker.entity(name="basket")(count) is count

    for name in ("counter", "count", "basket"):
        with pytest.raises(ValueError, match=f"A '{name}' entity already exists"):
            worker.add_entity(count, name)


def test_a_subclass_of_a_decorated_entity_has_a_name_of_its_own() -> None:
    worker = TaskHubGrpcWorker()

    @worker.entity(name="basket")
    class Base(DurableEntity): ...

    @worker.entity
    class Heir(Base): ...

    with pytest.raises(ValueError, match="A 'heir' entity already exists"):
        worker.add_entity(Heir)


@pytest.mark.parametrize(
    ("name", "text"), [("", "Entity name cannot be empty"), ("a@b", "cannot contain '@'")]
)
def test_a_name_that_no_entity_id_can_contain_is_refused(name: str, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        TaskHubGrpcWorker().add_entity(count, name)


def announced(worker: TaskHubGrpcWorker, sidecars: ScriptedSidecars) -> Any:
    """What the sidecar is asked for when the worker starts."""
    with worker:
        worker.start()
        worker.wait_until_ready(20)
    return sidecars.made[-1].streams[0]


def test_filters_follow_from_what_is_registered_when_the_worker_starts() -> None:
    sidecars = ScriptedSidecars()
    worker = TaskHubGrpcWorker(connect=sidecars)
    worker.use_work_item_filters()
    worker.add_orchestrator(hello)
    worker.add_activity(greet)
    worker.add_entity(Counter)

    filters = announced(worker, sidecars).request.work_item_filters

    assert [each.name for each in filters.orchestrations] == ["hello"]
    assert [each.name for each in filters.activities] == ["greet"]
    assert [each.name for each in filters.entities] == ["counter"]


def test_filters_are_sent_as_given_and_removed_by_none() -> None:
    sidecars = ScriptedSidecars()
    worker = TaskHubGrpcWorker(connect=sidecars)
    worker.add_activity(greet)

    worker.use_work_item_filters(WorkItemFilters(activities=[ActivityWorkItemFilter("other")]))
    given = announced(worker, sidecars).request.work_item_filters
    worker.use_work_item_filters(None)
    taken_away = announced(worker, sidecars).request.work_item_filters

    assert [each.name for each in given.activities] == ["other"]
    assert taken_away is None


def test_anything_but_filters_is_refused_in_the_official_words() -> None:
    with pytest.raises(TypeError, match="must be a WorkItemFilters instance, None, or omitted"):
        TaskHubGrpcWorker().use_work_item_filters(cast("Any", ["order"]))


def test_a_strict_worker_asks_for_orchestrations_of_its_version_only() -> None:
    sidecars = ScriptedSidecars()
    worker = TaskHubGrpcWorker(connect=sidecars)
    worker.add_orchestrator(hello)
    worker.use_work_item_filters()
    worker.use_versioning(VersioningOptions("1.0", match_strategy=VersionMatchStrategy.STRICT))

    filters = announced(worker, sidecars).request.work_item_filters

    assert [each.versions for each in filters.orchestrations] == [["1.0"]]


def test_options_of_another_kind_are_refused() -> None:
    with pytest.raises(TypeError, match="version must be a VersioningOptions"):
        TaskHubGrpcWorker().use_versioning(cast("Any", "1.0"))


def test_capabilities_are_told_once_each_in_order() -> None:
    sidecars = ScriptedSidecars()
    worker = TaskHubGrpcWorker(connect=sidecars)
    for capability in (7, 2, 7):
        worker.add_capability(capability)

    assert announced(worker, sidecars).request.capabilities == [2, 7]


@pytest.mark.parametrize(
    ("capability", "kind"), [("2", TypeError), (0, ValueError), (1, ValueError)]
)
def test_a_capability_that_the_worker_cannot_have_is_refused(
    capability: Any, kind: type[Exception]
) -> None:
    with pytest.raises(kind, match="apability"):
        TaskHubGrpcWorker().add_capability(capability)


def test_schedules_are_refused_rather_than_never_run() -> None:
    with pytest.raises(NotImplementedError, match="scheduled tasks"):
        TaskHubGrpcWorker().configure_scheduled_tasks()


@pytest.mark.parametrize(
    ("kept", "told"), [(0, ()), (1, (("x-durabletask-extended-sessions", "1"),))]
)
def test_the_sidecar_is_told_whether_orchestrations_stay_in_memory(kept: int, told: Any) -> None:
    sidecars = ScriptedSidecars()
    worker = TaskHubGrpcWorker(connect=sidecars, max_cached_orchestrations=kept)

    assert announced(worker, sidecars).metadata == told


@pytest.mark.parametrize(
    ("name", "official"),
    [
        ("add_entity", {"fn": inspect.Parameter.empty, "name": None}),
        ("add_capability", {"capability": inspect.Parameter.empty}),
        ("configure_scheduled_tasks", {}),
        ("use_versioning", {"version": inspect.Parameter.empty}),
    ],
)
def test_the_calls_take_what_the_official_ones_take(name: str, official: dict[str, Any]) -> None:
    ours = inspect.signature(getattr(TaskHubGrpcWorker(), name)).parameters

    assert {each: ours[each].default for each in ours} == official


def test_a_decorator_with_parentheses_and_nothing_in_them_is_a_bare_one() -> None:
    worker = TaskHubGrpcWorker()

    assert worker.activity()(greet) is greet
    with pytest.raises(ValueError, match="already exists"):
        worker.add_activity(greet)


@pytest.mark.parametrize("kind", ["orchestrator", "activity"])
def test_what_cannot_be_registered_is_refused_in_the_official_words(kind: str) -> None:
    worker = TaskHubGrpcWorker()

    with pytest.raises(ValueError, match=f"An {kind} function argument is required"):
        getattr(worker, f"add_{kind}")(None)
    with pytest.raises(ValueError, match="Cannot infer a name from a lambda function"):
        getattr(worker, f"add_{kind}")(lambda ctx: None)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda worker: worker.add_orchestrator(hello), "Orchestrators cannot be added while"),
        (lambda worker: worker.add_activity(greet), "Activities cannot be added while"),
        (lambda worker: worker.orchestrator(hello), "Orchestrators cannot be added while"),
        (lambda worker: worker.activity(greet), "Activities cannot be added while"),
        (lambda worker: worker.add_entity(Counter), "Entities cannot be added while"),
        (lambda worker: worker.entity(Counter), "Entities cannot be added while"),
        (lambda worker: worker.add_capability(2), "Capabilities cannot be added while"),
        (
            lambda worker: worker.use_versioning(VersioningOptions()),
            "Cannot set default version while",
        ),
        (
            lambda worker: worker.use_work_item_filters(),
            "Work item filters cannot be changed while",
        ),
        (lambda worker: worker.start(), r"The worker is already running\."),
    ],
)
def test_a_running_worker_refuses_changes(
    change: Callable[[TaskHubGrpcWorker], object], text: str
) -> None:
    with TaskHubGrpcWorker(connect=ScriptedSidecars()) as worker:
        worker.start()

        with pytest.raises(RuntimeError, match=text):
            change(worker)


def test_versions_of_an_orchestrator_have_one_name_and_functions_of_their_own() -> None:
    worker = TaskHubGrpcWorker()

    @worker.orchestrator(name="order", version_name="1")
    def order_1(ctx: OrchestrationContext) -> str:
        return "1"

    @worker.orchestrator(name="order", version_name="2", is_latest=True)
    def order_2(ctx: OrchestrationContext) -> str:
        return "2"

    assert get_name(order_1) == get_name(order_2) == "order"


def test_is_latest_without_a_version_name_is_refused() -> None:
    with pytest.raises(ValueError, match="version_name"):
        TaskHubGrpcWorker().orchestrator(is_latest=True)


def test_an_unknown_dialect_is_refused() -> None:
    with pytest.raises(ValueError, match="'taskhub', 'dapr'"):
        TaskHubGrpcWorker(dialect="klingon")
