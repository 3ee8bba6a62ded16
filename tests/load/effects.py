"""The effects of activities: a log that they append to, and that survives their process.

A line is on the disk before the activity returns, so no result can exist whose effect is not in
the log. There may be more effects than results: an activity whose worker or sidecar was killed
runs again.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Effect:
    """An activity was carried out once: for whom, as which of its tasks, and by which worker."""

    id: str
    instance_id: str
    task_id: int
    worker: str


class Effects:
    """The log of one worker process; `worker` is who writes, `new_id` gives ids like no other."""

    def __init__(self, file: Path, worker: str, new_id: Callable[[], str]) -> None:
        self._file = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._worker = worker
        self._new_id = new_id

    def have(self, instance_id: str, task_id: int) -> str:
        """Have an effect, for good; returns its id."""
        id = self._new_id()
        line = json.dumps([id, instance_id, task_id, self._worker]) + "\n"
        # One write: lines of several threads and workers never mix.
        os.write(self._file, line.encode())
        os.fsync(self._file)
        return id


def read(folder: Path) -> Iterator[Effect]:
    """All effects in the logs of the folder."""
    for file in sorted(folder.glob("*.effects")):
        for line in file.read_text(encoding="utf-8").splitlines(keepends=True):
            # A line that its writer's death cut short was never returned to anybody.
            if line.endswith("\n"):
                yield Effect(*json.loads(line))
