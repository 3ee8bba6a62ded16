"""Every page that names a file of this repository names one that exists."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = sorted(
    page
    for page in (
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("examples/*.md"),
        *ROOT.glob("packages/*/README.md"),
    )
)

# `tests/load`, `engine/instances.py`: what stands in backquotes, has a slash or ends as code does.
_QUOTED = re.compile(r"`([\w.-]+(?:/[\w.-]+)+/?|[\w-]+\.py)`")
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[\w-]*)?\)")
# `docs/limits.md`, wherever it stands in a source file.
_CITED = re.compile(r"\b([\w./-]+\.md)\b")
# A user's program, what a command makes, and the one file that must not exist.
_NOT_OURS = ("app.py", ".peer/", "durabletask/__init__.py")


def tracked() -> list[str]:
    """Every file of the repository, and every folder that one lies in."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    files = listed.stdout.split("\n")
    folders = {str(parent) for file in files for parent in Path(file).parents}
    return [f"/{path}" for path in (*files, *folders)]


TRACKED = tracked()


def is_there(quoted: str) -> bool:
    return any(path.endswith(f"/{quoted.rstrip('/')}") for path in TRACKED)


def quoted_paths(page: Path) -> list[str]:
    found = _QUOTED.findall(page.read_text(encoding="utf-8"))
    return [path for path in found if not path.startswith(_NOT_OURS)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_files_that_a_page_quotes_exist(page: Path) -> None:
    assert [path for path in quoted_paths(page) if not is_there(path)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_files_that_a_page_links_to_exist(page: Path) -> None:
    links = _LINK.findall(page.read_text(encoding="utf-8"))
    local = [link for link in links if "://" not in link]

    assert [link for link in local if not (page.parent / link).exists()] == []


def test_the_pages_that_the_sources_cite_exist() -> None:
    """A comment that cites a document outside the repository cannot be followed."""
    sources = ROOT.glob("packages/*/src/**/*.py")
    cited = {
        (str(source.relative_to(ROOT)), page)
        for source in sources
        for page in _CITED.findall(source.read_text(encoding="utf-8"))
    }

    assert [each for each in sorted(cited) if not is_there(each[1])] == []
