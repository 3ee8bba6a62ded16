"""When the soak says that the sidecar's memory grows."""

from __future__ import annotations

from tests.soak.memory import MIB, growth


def steps(*mib: float) -> list[int]:
    return [int(each * MIB) for each in mib]


def test_a_process_that_fills_its_caches_and_stays_does_not_grow() -> None:
    found = growth(steps(50, 70, 90, 100, 101, 100, 102, 101, 100, 101, 102, 101))

    assert found is not None
    assert not found.goes_on


def test_a_process_that_grows_by_every_step_does() -> None:
    found = growth(steps(*range(100, 124, 2)))

    assert found is not None
    assert found.goes_on


def test_a_few_kib_kept_of_each_orchestration_are_growth() -> None:
    """As it was found once: 65 MiB, and 4 KiB for each of the last 2,000 orchestrations."""
    found = growth(steps(*(65 + 2000 * 4 / 1024 * step / 30 for step in range(30))))

    assert found is not None
    assert found.goes_on


def test_a_single_peak_is_no_growth() -> None:
    found = growth(steps(*[100] * 10, 180, 100))

    assert found is not None
    assert not found.goes_on


def test_a_small_process_may_differ_by_what_an_allocator_holds() -> None:
    found = growth(steps(*[20] * 8, *[21.5] * 4))

    assert found is not None
    assert not found.goes_on


def test_too_few_samples_tell_nothing() -> None:
    assert growth(steps(*range(8))) is None
