"""Run the examples one after the other and show what they print.

    hatch run demo        starts a sidecar on a free port and runs this under it

Each example is a program of its own, run just as its README says; the one that waits for a
human gets its Enter from here.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


@dataclass(frozen=True, slots=True)
class Scene:
    """One example: what it shows, how it is started and what is typed into it."""

    title: str
    command: tuple[str, ...]
    typed: str = ""


SCENES = (
    Scene("Activity sequence", ("activity_sequence.py",)),
    Scene("Fan-out/fan-in", ("fanout_fanin.py",)),
    Scene("Human interaction", ("human_interaction.py", "--timeout", "20"), typed="\n"),
    Scene("The same in async def", ("async_await.py",)),
)


def play(scene: Scene) -> bool:
    """Run one scene; True when the program ended well."""
    print(f"\n=== {scene.title}: python {' '.join(scene.command)}", flush=True)
    program = subprocess.run(
        [sys.executable, *scene.command],
        cwd=_EXAMPLES,
        input=scene.typed,
        text=True,
        check=False,
        timeout=60,
    )
    return program.returncode == 0


def main() -> int:
    failed = [scene.title for scene in SCENES if not play(scene)]
    print(f"\n{len(SCENES) - len(failed)} of {len(SCENES)} workflows completed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
