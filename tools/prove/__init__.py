"""Prove by machine that the sidecar loses nothing; `hatch run prove`."""

from __future__ import annotations

import sys
from pathlib import Path

# Tests and proofs are built of the same things, which live with the tests.
_TESTS = str(Path(__file__).parents[2] / "tests")
if _TESTS not in sys.path:
    sys.path.append(_TESTS)
