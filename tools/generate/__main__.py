"""Write the generated files, or check that they are fresh.

    hatch run generate           write them
    hatch run generate --check   compare with the tree, write nothing

`protocol.py` makes the message dataclasses from canonical.proto, `sync.py` the client and the
transport for threads from those for an event loop. The output depends on the sources and the
pinned tools only.
"""

from __future__ import annotations

import argparse
import difflib
import sys
from pathlib import Path

from tools.generate import protocol, sync

ROOT = Path(__file__).resolve().parents[2]
COMMAND = "hatch run generate"


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare with the tree, write nothing")
    is_check = parser.parse_args(argv).check
    files = {**protocol.generated_files(), **sync.generated_files()}
    if is_check:
        return _check(files)
    for path, text in files.items():
        path.write_text(text, encoding="utf-8", newline="\n")
        print(f"wrote {path.relative_to(ROOT)}")
    return 0


def _check(files: dict[Path, str]) -> int:
    stale = 0
    for path, text in files.items():
        current = path.read_text(encoding="utf-8") if path.exists() else ""
        if current == text:
            continue
        stale += 1
        name = str(path.relative_to(ROOT))
        changes = difflib.unified_diff(
            current.splitlines(), text.splitlines(), name, f"{name} (fresh)", n=1, lineterm=""
        )
        print("\n".join(list(changes)[:20]), file=sys.stderr)
    if stale:
        print(f"generated files are stale; run: {COMMAND}", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
