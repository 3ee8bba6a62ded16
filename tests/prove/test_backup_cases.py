"""A short version of the suite `backups`; and that it can fail."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.prove.backups import Backup, Restored, restore, rows, take

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.slow
def test_a_backup_under_load_has_what_was_acknowledged_and_is_missed_by_what_was_not(
    tmp_path: Path,
) -> None:
    (backup,) = take(tmp_path, 1, seed=3)
    assert backup.acknowledged

    claimed = replace(backup, acknowledged=(*backup.acknowledged, "never-started"))

    assert restore(claimed) == Restored(missing=1, findings=0)


def test_what_is_missing_or_damaged_does_not_hold(tmp_path: Path) -> None:
    backup = Backup(tmp_path, ("a", "b"), later=1)

    table = {line.what: line.holds for line in rows([backup], [Restored(missing=1, findings=1)])}

    assert not table["of these, missing in their backup"]
    assert not table["findings of check in backups"]
    assert all(line.holds for line in rows([backup], [Restored(missing=0, findings=0)]))
