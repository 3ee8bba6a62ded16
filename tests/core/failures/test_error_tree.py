"""Errors keep their official names and bases, tell what to do, and survive pickling."""

from __future__ import annotations

import importlib
import pickle

import pytest

from durabletask import failures
from durabletask.failures import (
    ActivityNotRegisteredError,
    DurableTaskError,
    EntityNotRegisteredError,
    FailureDetails,
    JsonEncodeOutputException,
    NonDeterminismError,
    NotRegisteredError,
    OrchestrationFailedError,
    OrchestrationStateError,
    OrchestratorNotRegisteredError,
    OrchestratorVersionNotRegisteredError,
    RequestedAction,
    TaskCancelledError,
    TaskFailedError,
    UnsupportedByEngineError,
    qualified_name,
)
from durabletask.protocol import messages

DETAILS = FailureDetails("bad", "builtins.ValueError", "frames")
GREET = RequestedAction(3, "call_activity", "greet")


def every_error() -> list[DurableTaskError]:
    return [
        DurableTaskError("m"),
        OrchestrationStateError("m"),
        TaskCancelledError("m"),
        TaskFailedError("m", DETAILS),
        OrchestrationFailedError("m", DETAILS),
        NonDeterminismError(GREET, RequestedAction(3, "create_timer")),
        NonDeterminismError(GREET),
        NonDeterminismError(GREET, ended="returned"),
        JsonEncodeOutputException("m"),
        OrchestratorNotRegisteredError("a", ["b", "c"]),
        OrchestratorVersionNotRegisteredError("a", "3", ["1", "2"]),
        UnsupportedByEngineError("an engine", "it", "Do otherwise."),
        ActivityNotRegisteredError("a"),
        EntityNotRegisteredError("a"),
    ]


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (TaskFailedError, "durabletask.task.TaskFailedError"),
        (TaskCancelledError, "durabletask.task.TaskCancelledError"),
        (NonDeterminismError, "durabletask.task.NonDeterminismError"),
        (OrchestrationStateError, "durabletask.task.OrchestrationStateError"),
        (OrchestrationFailedError, "durabletask.client.OrchestrationFailedError"),
        (OrchestratorNotRegisteredError, "durabletask.worker.OrchestratorNotRegisteredError"),
        (ActivityNotRegisteredError, "durabletask.worker.ActivityNotRegisteredError"),
        (EntityNotRegisteredError, "durabletask.worker.EntityNotRegisteredError"),
    ],
)
def test_programs_find_the_error_where_its_name_says(
    error: type[DurableTaskError], name: str
) -> None:
    """The name goes over the wire as `error_type`, and programs compare it there."""
    module, _, attribute = name.rpartition(".")

    assert qualified_name(error) == name
    assert getattr(importlib.import_module(module), attribute) is error


@pytest.mark.parametrize("error", every_error(), ids=lambda error: type(error).__name__)
def test_every_error_survives_pickling(error: DurableTaskError) -> None:
    copy = pickle.loads(pickle.dumps(error))

    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)


@pytest.mark.parametrize("error", every_error(), ids=lambda error: type(error).__name__)
def test_every_error_is_caught_by_the_root_of_the_tree(error: DurableTaskError) -> None:
    assert isinstance(error, failures.DurableTaskError)


def test_a_name_that_is_not_registered_is_a_value_error_as_in_the_official_sdk() -> None:
    assert issubclass(NotRegisteredError, ValueError)


def test_a_name_that_is_not_registered_is_told_with_those_that_are() -> None:
    text = str(OrchestratorNotRegisteredError("gret", ["greet", "bill"]))

    assert "A 'gret' orchestrator was not registered" in text
    assert "Did you mean 'greet'?" in text
    assert "'bill', 'greet'" in text
    assert "worker.add_orchestrator" in text


def test_a_long_list_of_names_is_cut() -> None:
    text = str(ActivityNotRegisteredError("x", [f"activity_{number:02}" for number in range(15)]))

    assert "'activity_09' and 5 more" in text
    assert "activity_10" not in text
    assert "Did you mean" not in text


def test_an_empty_worker_is_told_as_such() -> None:
    assert "This worker has no activity registered." in str(ActivityNotRegisteredError("greet"))


def test_non_determinism_tells_what_history_holds_and_what_the_code_asked_for() -> None:
    text = str(NonDeterminismError(GREET, RequestedAction(3, "call_activity", "welcome")))

    assert "history records call_activity('greet') with ID=3" in text
    assert "the code asked for call_activity('welcome') with ID=3" in text


def test_non_determinism_tells_that_nothing_was_asked_for() -> None:
    assert "asked for nothing with ID=3" in str(NonDeterminismError(GREET))


def test_non_determinism_tells_how_the_code_had_ended() -> None:
    text = str(NonDeterminismError(GREET, ended="returned"))

    assert "the code had already returned" in text
    assert "asked for" not in text


def test_a_result_that_is_not_json_reports_the_official_type() -> None:
    assert qualified_name(JsonEncodeOutputException) == (
        "durabletask.internal.json_encode_output_exception.JsonEncodeOutputException"
    )


@pytest.mark.parametrize("error", every_error(), ids=lambda error: type(error).__name__)
def test_every_error_is_drawn_in_the_tree(error: DurableTaskError) -> None:
    assert type(error).__name__ in (failures.__doc__ or "")


@pytest.mark.parametrize(
    ("action", "text"),
    [
        (RequestedAction(1, "create_timer"), "create_timer() with ID=1"),
        (RequestedAction(2, "call_activity", "greet"), "call_activity('greet') with ID=2"),
        (
            RequestedAction(3, "send_event", "go", "order-1"),
            "send_event('go' to 'order-1') with ID=3",
        ),
        (RequestedAction(4, "lock_entities", target="@a@b"), "lock_entities(to '@a@b') with ID=4"),
    ],
)
def test_an_action_reads_like_the_call_that_asked_for_it(
    action: RequestedAction, text: str
) -> None:
    assert str(action) == text


@pytest.mark.parametrize(
    "told",
    [
        DETAILS,
        messages.TaskFailureDetails(
            error_type="builtins.ValueError", error_message="bad", stack_trace="frames"
        ),
    ],
    ids=["details", "message"],
)
def test_a_failed_task_takes_its_details_in_either_form(
    told: FailureDetails | messages.TaskFailureDetails,
) -> None:
    assert TaskFailedError("m", told).details == DETAILS


def test_a_failed_task_takes_an_exception_too() -> None:
    details = TaskFailedError("m", ValueError("bad")).details

    assert (details.error_type, details.message) == ("builtins.ValueError", "bad")


def test_a_failed_orchestration_keeps_its_details() -> None:
    assert OrchestrationFailedError("m", DETAILS).failure_details is DETAILS


def test_the_provider_protocol_has_its_official_home() -> None:
    from durabletask.exception_properties import ExceptionPropertiesProvider

    assert ExceptionPropertiesProvider is failures.ExceptionPropertiesProvider
    assert ExceptionPropertiesProvider.__module__ == "durabletask.exception_properties"
