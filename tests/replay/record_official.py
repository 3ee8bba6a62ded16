"""Record, with the official SDK, the histories that `tests/replay` replays with ours.

    python -m tests.replay.record_official [SCENARIO...]

Runs the orchestrators of `tests/replay/orchestrators.py` on the official in-memory backend, in
an environment of its own (`tools/peers/pythons.py`), and writes one file an instance to
`tests/replay/histories/official/`:

    name                            of the scenario; `.suffix` for instances it started
    recorded_with                   distribution and version
    orchestrator, instance_id       what ran
    maximum_timer_interval_seconds  the setting of the worker it ran in
    turns                           in order, each with
        past_events, new_events     what the worker was sent, a line an event, to be read
        actions                     what it answered, a line an action, to be read
        request, response           both messages as they went over the wire, base64

The files change whenever they are recorded (times do). Record only for a new scenario or a
new version of the official SDK, and read the difference.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tools.peers import homes, pythons

_REPLAY = homes.ROOT / "tests" / "replay"
_HISTORIES = _REPLAY / "histories" / "official"


def main(wanted: list[str]) -> None:
    script = Path(__file__).with_name("official_recorder.py")
    printed = pythons.run(pythons.OFFICIAL, script, str(_REPLAY / "orchestrators.py"), *wanted)
    _HISTORIES.mkdir(parents=True, exist_ok=True)
    for recording in json.loads(printed):
        name = recording.pop("name")
        told = {
            "name": name,
            "recorded_with": f"durabletask {pythons.OFFICIAL_VERSION}",
            **recording,
        }
        file = _HISTORIES / f"{name}.json"
        file.write_text(json.dumps(told, indent=1) + "\n")
        print(f"{file.relative_to(homes.ROOT)}: {len(told['turns'])} turns")


if __name__ == "__main__":
    main(sys.argv[1:])
