"""Which questions detect an engine's dialect, and what each answer means."""

from __future__ import annotations

from typing import Any

import pytest

from durabletask.protocol import codec, dialects, messages
from durabletask.transport import engine_detection
from durabletask.transport.engine_detection import Answer, Engine

OURS = Answer("OK", metadata=(("x-durabletask-engine", "durabletask-sidecar/0.1.0"),))
HELLO = Answer("OK")


def found_out(*answers: Answer, environment: dict[str, str] | None = None) -> Any:
    """The engine that these answers lead to, and the names of the calls that were made."""
    asking = engine_detection.detect(environment=environment or {})
    asked = [next(asking).method.name]
    for answer in answers:
        try:
            question = asking.send(answer)
        except StopIteration as end:
            return end.value, asked
        asked.append(question.method.name)
    raise AssertionError(f"after {asked} nothing was decided, and nothing given up")


@pytest.mark.parametrize(
    ("argument", "variable", "expected"),
    [
        (None, None, None),
        (None, "", None),
        (None, " dapr ", dialects.DAPR),
        ("taskhub", "dapr", dialects.TASKHUB),
        ("auto", "dapr", None),
        ("", "taskhub", dialects.TASKHUB),
    ],
)
def test_the_argument_wins_then_the_environment_then_auto(
    argument: str | None, variable: str | None, expected: Any
) -> None:
    environment = {} if variable is None else {"DURABLETASK_DIALECT": variable}

    assert engine_detection.chosen_dialect(argument, environment=environment) is expected


@pytest.mark.parametrize(
    ("argument", "environment", "source"),
    [
        ("Dapr", {}, "dialect is 'Dapr'"),
        (None, {"DURABLETASK_DIALECT": "ms"}, "DURABLETASK_DIALECT is 'ms'"),
    ],
)
def test_an_unknown_dialect_is_an_error_that_lists_the_choices(
    argument: str | None, environment: dict[str, str], source: str
) -> None:
    with pytest.raises(ValueError, match=f"{source}; it can be 'auto', 'taskhub', 'dapr'"):
        engine_detection.chosen_dialect(argument, environment=environment)


def test_our_sidecar_names_itself_and_is_asked_nothing_more() -> None:
    engine, asked = found_out(OURS)

    assert engine == Engine(dialects.TASKHUB, "durabletask-sidecar/0.1.0", is_ours=True)
    assert asked == ["Hello"]


def test_another_engine_that_names_itself_is_not_ours() -> None:
    engine, _ = found_out(Answer("OK", metadata=(("x-durabletask-engine", "other/2"),)))

    assert engine == Engine(dialects.TASKHUB, "other/2", is_ours=False)


@pytest.mark.parametrize("hello", [HELLO, Answer("UNIMPLEMENTED")])
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer("OK"), dialects.DAPR),
        (Answer("UNKNOWN", "failed to proxy request: required metadata"), dialects.DAPR),
        (Answer("UNIMPLEMENTED", "unknown method ListInstanceIDs"), dialects.TASKHUB),
    ],
)
def test_a_method_that_only_dapr_has_decides_between_the_dialects(
    hello: Answer, answer: Answer, expected: Any
) -> None:
    engine, asked = found_out(hello, answer)

    assert engine.dialect is expected
    assert not engine.is_ours
    assert asked == ["Hello", "ListInstanceIDs"]


@pytest.mark.parametrize("variable", ["DAPR_GRPC_ENDPOINT", "DAPR_GRPC_PORT"])
def test_an_old_daprd_is_known_by_its_environment(variable: str) -> None:
    engine, _ = found_out(HELLO, Answer("UNIMPLEMENTED"), environment={variable: "50001"})

    assert engine.dialect is dialects.DAPR


def test_daprs_environment_does_not_outweigh_an_engine_that_names_itself() -> None:
    engine, _ = found_out(OURS, environment={"DAPR_GRPC_PORT": "50001"})

    assert engine.dialect is dialects.TASKHUB


@pytest.mark.parametrize("status", ["UNAVAILABLE", "UNAUTHENTICATED", "UNKNOWN", "INTERNAL"])
def test_any_other_answer_decides_nothing(status: str) -> None:
    assert found_out(Answer(status)) == (None, ["Hello"])
    assert found_out(HELLO, Answer(status)) == (None, ["Hello", "ListInstanceIDs"])


def test_one_id_is_asked_for_in_daprs_dialect() -> None:
    asking = engine_detection.detect(environment={})
    next(asking)

    question = asking.send(HELLO)

    assert question.payload == codec.encode(
        messages.PageInstanceIdsRequest(page_size=1), dialects.DAPR
    )
