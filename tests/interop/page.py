"""Lay out what runs on which engine as tables: each cell is a test, and how it ended.

The page holds no figures, dates or paths, so it changes only when a result or a claim does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.conformance.results import Outcome, Result

from .differences import DIFFERENCES, SHIELDS
from .features import FEATURES, GO, NOT_PASSED, OURS, PLAYED, UNPLAYED, unplayed
from .strangers import NOT_IN_SDK, SCENARIOS, STRANGERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from .differences import Difference
    from .results import Key

_HEAD = f"""\
# Engines

Our SDK runs on every engine of the Durable Task protocol with the same code. This page shows which
features work on which engine. It is written by `hatch run engines`, which runs `tests/interop`: each
cell is a test with our client and worker on a running engine. Where a feature does not work, the
test checks what the user sees instead.

## Features

An engine offers a feature, does not offer it, or has a defect in it that the SDK cannot work around.
{GO} is the head of its main branch, with a SQLite file.
"""

_NOT_RUN = """\
Engines that are not run:
"""

_SHIELDS = f"""\
## Differences of {GO} that our SDK hides

The same test passes on {OURS}.
"""

_DIFFERENCES = f"""\
## Differences of {GO} that users see
"""

_STRANGERS = f"""\
## Other SDKs on {OURS}

Unchanged, all at the same time on one sidecar, each in a task hub of its own. Dapr's SDK for Python
cannot name a task hub, so it uses the default one.
"""


def page(results: Mapping[Key, Result]) -> str:
    """The whole page, in Markdown."""
    notes = [f"* **{engine.name}**: {engine.reason}" for engine in UNPLAYED]
    return "\n".join(
        [
            *(_HEAD, *_features(results), ""),
            *(_NOT_RUN, *notes, ""),
            *(_SHIELDS, *_differences(SHIELDS, "test_shields.py", results), ""),
            *(_DIFFERENCES, *_differences(DIFFERENCES, "test_differences.py", results), ""),
            *(_STRANGERS, *_strangers(results), ""),
        ]
    )


def failures(results: Mapping[Key, Result]) -> list[str]:
    """The tests that keep the page from being true."""
    return [
        f"{_FAILED} {test}"
        for file, test in keys()
        if _cell((file, test), "", results).startswith(_FAILED)
    ]


def keys() -> Iterator[Key]:
    """The file and the name of every test that fills a cell."""
    for feature in FEATURES:
        yield from (_feature_test(feature, engine) for engine in PLAYED)
    for file, table in (("test_shields.py", SHIELDS), ("test_differences.py", DIFFERENCES)):
        yield from (_difference_test(file, name) for name in table)
    for feature in SCENARIOS:
        yield from (_stranger_test(feature, stranger) for stranger in STRANGERS)


_FAILED = "**FAILED**"


def _features(results: Mapping[Key, Result]) -> Iterator[str]:
    yield from _heading("feature", *PLAYED, *(engine.name for engine in UNPLAYED))
    for feature in FEATURES:
        played = (
            _cell(
                _feature_test(feature, engine),
                str(NOT_PASSED.get((feature, engine), "passed")),
                results,
            )
            for engine in PLAYED
        )
        yield _row(feature, *played, *(unplayed(feature, engine) for engine in UNPLAYED))


def _differences(
    table: Mapping[str, Difference], file: str, results: Mapping[Key, Result]
) -> Iterator[str]:
    yield from _heading("the engine", "the user sees", "reference", "claim", "result")
    for name, it in table.items():
        result = _cell(_difference_test(file, name), "passed", results)
        yield _row(it.engine_does, it.user_sees, it.reference, name.replace("_", " "), result)


def _strangers(results: Mapping[Key, Result]) -> Iterator[str]:
    yield from _heading("scenario", *STRANGERS)
    for feature in SCENARIOS:
        cells = (
            _cell(_stranger_test(feature, stranger), _stranger_text(feature, stranger), results)
            for stranger in STRANGERS
        )
        yield _row(feature, *cells)


def _stranger_text(feature: str, stranger: str) -> str:
    why = NOT_IN_SDK.get((feature, stranger))
    return f"not offered: {why}" if why else "passed"


def _cell(test: Key, told: str, results: Mapping[Key, Result]) -> str:
    # A test of which pytest knows nothing could not even be collected.
    result = results.get(test, Result(Outcome.FAILED))
    if result.outcome is Outcome.FAILED:
        return _FAILED
    return told if result.outcome is Outcome.PASSED else f"not run: {result.reason}"


def _feature_test(feature: str, engine: str) -> Key:
    name = f"test_a_feature_works[{engine}-{feature}]"
    if feature == "stateful history":
        name = f"test_late_turns_weigh_no_more_than_early_ones[{engine}]"
    return "test_engines.py", name


def _difference_test(file: str, name: str) -> Key:
    return file, f"test_{name}[{GO}]"


def _stranger_test(feature: str, stranger: str) -> Key:
    return "test_strangers.py", f"test_a_stranger_is_served[{stranger}-{feature}]"


def _heading(*titles: str) -> Iterable[str]:
    return _row(*titles), _row(*("---" for _ in titles))


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
