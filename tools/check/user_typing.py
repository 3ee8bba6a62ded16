"""Type-check programs against the wheels, with both checkers.

A line of `tests/typing/bad` that must be reported carries the comment `# expect-error`.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tools import environments

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROOT = environments.ROOT
_GOOD = (_ROOT / "examples", _ROOT / "tests/typing/good")
_BAD = _ROOT / "tests/typing/bad"

_PYRIGHT = {"typeCheckingMode": "strict", "reportMissingModuleSource": False}


def complaints(wheels: Path, folder: Path) -> Iterator[str]:
    """What the checkers report that they should not, and what they miss, one line each."""
    python = environments.create(folder / "typing")
    names = [wheel.name.split("-")[0].replace("_", "-") for wheel in wheels.glob("*.whl")]
    environments.install(python, *names, wheels=wheels)
    for checker, lines_reported in (("mypy", _mypy), ("pyright", _pyright)):
        good = _copy(_GOOD, folder / checker / "good")
        bad = _copy((_BAD,), folder / checker / "bad")
        for where, text in sorted(lines_reported(python, good).items()):
            yield f"{checker} rejects {where}: {text}"
        reported = {where for where, _ in lines_reported(python, bad).items()}
        expected = set(_marked(bad))
        for where in sorted(expected - reported):
            yield f"{checker} does not report {where}"
        for where in sorted(reported - expected):
            yield f"{checker} reports {where}, which is not marked"


def _copy(sources: tuple[Path, ...], into: Path) -> Path:
    # Outside the tree nothing of the repository's own configuration or sources is found.
    into.mkdir(parents=True)
    for source in sources:
        for file in sorted(source.glob("*.py")):
            (into / file.name).write_text(file.read_text())
    return into


def _marked(folder: Path) -> Iterator[str]:
    for file in sorted(folder.glob("*.py")):
        for number, line in enumerate(file.read_text().splitlines(), 1):
            if "# expect-error" in line:
                yield f"{file.name}:{number}"


def _mypy(python: Path, folder: Path) -> dict[str, str]:
    command = [sys.executable, "-m", "mypy", "--strict", "--no-incremental", "--no-error-summary"]
    command += ["--config-file=", f"--python-executable={python}", "."]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    found: dict[str, str] = {}
    for line in result.stdout.splitlines():
        if match := re.match(r"(?P<file>[^:]+):(?P<line>\d+): error: (?P<text>.*)", line):
            found[f"{match['file']}:{match['line']}"] = match["text"]
    if result.returncode not in (0, 1):
        found["mypy"] = result.stderr
    return found


def _pyright(python: Path, folder: Path) -> dict[str, str]:
    (folder / "pyrightconfig.json").write_text(json.dumps(_PYRIGHT))
    command = [sys.executable, "-m", "pyright", "--outputjson", f"--pythonpath={python}", "."]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    return {
        f"{Path(found['file']).name}:{found['range']['start']['line'] + 1}": found["message"]
        for found in json.loads(result.stdout)["generalDiagnostics"]
        if found["severity"] == "error"
    }
