"""The codec's promises on strange and on corrupted bytes; and that a broken one is found."""

from __future__ import annotations

import random
from types import SimpleNamespace

import pytest

from durabletask.protocol import codec, dialects, messages
from tests.prove import codec as fuzzer
from tests.prove import codec_claims
from tests.prove.strange_messages import encoded
from tools.peers.homes import UnavailableError, are_required

SEED = 6


@pytest.mark.parametrize("dialect", codec_claims.DIALECTS, ids=str)
def test_no_bytes_break_the_codec_and_none_are_read_in_two_ways(dialect: dialects.Dialect) -> None:
    rng = random.Random(f"{SEED} {dialect.name}")
    for message_class in codec_claims.CLASSES:
        for _ in range(10):
            raw = encoded(rng, message_class, dialect)

            codec_claims.check_message(message_class, raw, dialect)
            codec_claims.check_dialect_detection(raw)


def test_a_field_of_daprs_that_was_passed_on_unread_breaks_no_claim() -> None:
    raw = codec.encode(messages.ParentInstanceInfo(app_id="orders"), dialects.NATIVE)

    for dialect in codec_claims.DIALECTS:
        codec_claims.check_message(messages.ParentInstanceInfo, raw, dialect)


def test_a_reader_that_raises_what_it_should_not_would_be_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def decode(*_: object) -> object:
        raise KeyError("a defect")

    monkeypatch.setattr(codec_claims, "codec", _codec(decode=decode))

    with pytest.raises(KeyError):
        codec_claims.check_message(messages.Empty, b"", dialects.NATIVE)


def test_a_writer_that_loses_something_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec_claims, "codec", _codec(encode=lambda *_: b""))
    raw = codec.encode(messages.GetInstanceRequest(instance_id="a"))

    with pytest.raises(AssertionError):
        codec_claims.check_message(messages.GetInstanceRequest, raw, dialects.NATIVE)


def _codec(**broken: object) -> SimpleNamespace:
    whole = {name: getattr(codec, name) for name in codec.__all__}
    return SimpleNamespace(**{**whole, **broken})


@pytest.mark.peers
def test_the_fuzzer_that_is_guided_by_coverage_finds_nothing_either() -> None:
    try:
        python = fuzzer.environment()
    except UnavailableError as error:
        if are_required():
            raise
        pytest.skip(f"atheris is not to be had here: {error}")

    found = fuzzer.fuzz(python, SEED, "-runs=600")

    assert found.broken == ""
    assert found.inputs >= 600
    assert found.covered > 0
