from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
GENERATOR = ROOT / "tools" / "generate_protocol.py"


def test_the_generated_files_are_fresh() -> None:
    checked = subprocess.run(
        [sys.executable, GENERATOR, "--check"], capture_output=True, text=True, check=False
    )

    assert checked.returncode == 0, checked.stderr
