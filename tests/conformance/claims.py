"""Read from the contract's tests which items of the checklist each of them proves.

From their source, not from what pytest collects: a test that could not be collected must appear
as one that failed.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTRACT = Path(__file__).parents[1] / "contract"

_MARKER = "pytest.mark.checklist"


@dataclass(frozen=True, slots=True)
class Claim:
    """One test: its file, its name, and the items that it proves."""

    file: str
    test: str
    items: tuple[int, ...]


def claims(folder: Path = CONTRACT) -> list[Claim]:
    """Every test of the contract, in the order of files and lines."""
    return [claim for file in sorted(folder.glob("test_*.py")) for claim in _claims_of(file)]


def _claims_of(file: Path) -> Iterator[Claim]:
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if node.name.startswith("test_"):
            yield Claim(file.name, node.name, tuple(_items(node)))


def _items(test: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[int]:
    for decorator in test.decorator_list:
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == _MARKER:
            yield from (int(ast.literal_eval(argument)) for argument in decorator.args)
