"""The codec under a coverage-guided fuzzer: no bytes break it, and none are read in two ways.

The fuzzer, atheris, has wheels for Linux only and an environment of its own, made on first use
like those of the peers. Where it is not available a row says so, and holds only where peers are
not required.
"""

from __future__ import annotations

import random
import re
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tools.peers.homes import ROOT, UnavailableError, are_required, home, install

from . import codec_claims
from .strange_messages import encoded
from .suites import Options, Row

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "codec"

_ATHERIS = "atheris==3.0.0"
_PROTOCOL = ROOT / "packages" / "durabletask-protocol"
_TARGET = Path(__file__).with_name("_codec_target.py")
_LONGEST = 4096


@dataclass(frozen=True, slots=True)
class Findings:
    """What the fuzzer printed, read."""

    inputs: int
    covered: int
    """Branches of the codec, those of its compiled functions included."""
    broken: str
    """The claim that does not hold, and the bytes it does not hold for."""


def prove(options: Options) -> Iterator[Row]:
    """For as long as the methods are fuzzed."""
    try:
        python = environment()
    except UnavailableError as error:
        reason = str(error).strip().splitlines()[-1][:60]
        yield Row(f"left out, {_ATHERIS} is not available here", reason, not are_required())
        return
    found = fuzz(python, options.seed, f"-max_total_time={options.fuzz_seconds:.0f}")
    yield Row(f"inputs tried, seed {options.seed}", str(found.inputs), found.inputs > 0)
    yield Row("branches of the codec reached", str(found.covered), found.covered > 0)
    yield Row("inputs that broke a claim", found.broken or "0", not found.broken)


def environment() -> Path:
    """The Python that has atheris and what the codec stands on, made now if there is none."""

    def make(there: Path) -> None:
        install(sys.executable, "-m", "venv", str(there), folder=there)
        pip = (str(there / "bin" / "python"), "-m", "pip", "--disable-pip-version-check")
        install(*pip, "install", "--quiet", _ATHERIS, *_requirements(), folder=there)

    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return home(f"{_ATHERIS.replace('==', '-')}-python{version}", make) / "bin" / "python"


def _requirements() -> list[str]:
    project = tomllib.loads((_PROTOCOL / "pyproject.toml").read_text(encoding="utf-8"))
    return list(project["project"]["dependencies"])


def fuzz(python: Path, seed: int, until: str) -> Findings:
    """Try inputs until libFuzzer's option `until` says that it is enough, or one breaks it."""
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder, "corpus")
        corpus.mkdir()
        _begin(corpus, seed)
        limits = (f"-seed={seed % 2**31 or 1}", f"-max_len={_LONGEST}", until)
        artifacts = f"-artifact_prefix={folder}/"
        done = subprocess.run(
            [str(python), str(_TARGET), *limits, artifacts, str(corpus)],
            env={"PYTHONPATH": f"{ROOT}:{_PROTOCOL / 'src'}"},
            capture_output=True,
            text=True,
            check=False,
        )
    return _read(done.stdout + done.stderr, failed=done.returncode != 0)


def _begin(corpus: Path, seed: int) -> None:
    """Give it one of every message in every dialect to start from."""
    rng = random.Random(seed)
    for number, message_class in enumerate(codec_claims.CLASSES):
        for dialect in codec_claims.DIALECTS:
            raw = encoded(rng, message_class, dialect)
            data = codec_claims.chosen(message_class, dialect, raw)
            (corpus / f"{number}-{dialect.name}").write_bytes(data)


def _read(printed: str, *, failed: bool) -> Findings:
    covered = [int(number) for number in re.findall(r"\bcov: (\d+)", printed)]
    inputs = re.findall(r"^Done (\d+) runs|^#(\d+)\s", printed, re.MULTILINE)
    tried = [int(number) for pair in inputs for number in pair if number]
    return Findings(
        max(tried, default=0), max(covered, default=0), _complaint(printed) if failed else ""
    )


def _complaint(printed: str) -> str:
    told = re.findall(r"^broken by .*|^\w*(?:Error|Exception)\b.*", printed, re.MULTILINE)
    return "; ".join(each[:200] for each in told[:2]) or printed[-200:]
