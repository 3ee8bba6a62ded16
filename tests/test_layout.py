"""Claims about the tree itself: what belongs to whom, and who may import whom."""

from __future__ import annotations

import json
import re
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = sorted((ROOT / "packages").iterdir())


def project(package: Path) -> dict[str, Any]:
    whole = tomllib.loads((package / "pyproject.toml").read_text())
    found: dict[str, Any] = whole["project"]
    if "version" in found.get("dynamic", ()):
        code = (package / whole["tool"]["hatch"]["version"]["path"]).read_text()
        found["version"] = code.split('__version__ = "')[1].split('"')[0]
    return found


def portions(package: Path) -> list[Path]:
    """The subpackages of `durabletask` that a distribution owns."""
    found = (package / "src" / "durabletask").iterdir()
    return sorted(portion for portion in found if portion.is_dir() and portion.name[0] != "_")


ALL_PORTIONS = [portion for package in PACKAGES for portion in portions(package)]
VERSIONS = {project(package)["name"]: project(package)["version"] for package in PACKAGES}


def test_the_namespace_has_no_init_anywhere() -> None:
    assert not list(ROOT.glob("packages/*/src/durabletask/*.py"))


def test_each_subpackage_belongs_to_one_distribution() -> None:
    owners = Counter(portion.name for portion in ALL_PORTIONS)

    assert {name: count for name, count in owners.items() if count > 1} == {}


@pytest.mark.parametrize("portion", ALL_PORTIONS, ids=lambda portion: portion.name)
def test_each_subpackage_says_that_it_is_typed(portion: Path) -> None:
    assert (portion / "py.typed").is_file()
    assert (portion / "__init__.py").is_file()


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_each_package_has_what_its_users_read(package: Path) -> None:
    for name in ("README.md", "CHANGELOG.md", "LICENSE"):
        assert (package / name).stat().st_size > 60, name
    assert project(package)["name"] == package.name
    assert f"## {VERSIONS[package.name]}" in (package / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_pins_between_siblings_accept_the_versions_in_the_tree(package: Path) -> None:
    for line in project(package)["dependencies"]:
        requirement = Requirement(line)
        if requirement.name in VERSIONS:
            assert requirement.specifier.contains(VERSIONS[requirement.name]), line


def test_the_root_installs_the_union_of_the_members() -> None:
    root = tomllib.loads((ROOT / "pyproject.toml").read_text())
    members = [project(package) for package in PACKAGES]

    third_party = {
        line
        for member in members
        for line in member["dependencies"]
        if Requirement(line).name not in VERSIONS
    }
    scripts = {name: to for member in members for name, to in member.get("scripts", {}).items()}
    sources = {str(package.relative_to(ROOT) / "src") for package in PACKAGES}

    assert set(root["project"]["dependencies"]) == third_party
    assert root["project"]["scripts"] == scripts
    assert set(root["tool"]["hatch"]["build"]["dev-mode-dirs"]) == sources
    assert sources <= set(root["tool"]["mypy"]["mypy_path"])


def test_the_root_has_every_extra_of_the_members() -> None:
    root = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras: dict[str, list[str]] = {}
    for package in PACKAGES:
        extras |= project(package).get("optional-dependencies", {})

    assert root["project"].get("optional-dependencies", {}) == extras
    for lines in extras.values():
        assert set(lines) <= set(root["tool"]["hatch"]["envs"]["default"]["dependencies"])


def test_the_import_contracts_name_every_subpackage() -> None:
    root = tomllib.loads((ROOT / "pyproject.toml").read_text())

    contracted = set(root["tool"]["importlinter"]["root_packages"])

    assert contracted == {f"durabletask.{portion.name}" for portion in ALL_PORTIONS}


def test_the_readme_holds_each_command_on_a_line_of_its_own() -> None:
    readme = (ROOT / "README.md").read_text().splitlines()
    prefix = "python3 -m venv .venv && .venv/bin/pip install hatch && .venv/bin/hatch run"

    assert readme.count(f"{prefix} demo") == 1
    assert readme.count(f"{prefix} test") == 1


@pytest.mark.parametrize("folder", ["tools", "packages"])
def test_nothing_but_tests_imports_tests(folder: str) -> None:
    importing = re.compile(r"^\s*(?:from|import) tests\b", re.MULTILINE)
    found = sorted((ROOT / folder).rglob("*.py"))

    assert found
    assert [str(file) for file in found if importing.search(file.read_text(encoding="utf-8"))] == []


def test_the_index_of_the_builders_names_each_of_them() -> None:
    folder = ROOT / "tests" / "builders"
    index = (folder / "__init__.py").read_text(encoding="utf-8")

    named = set(re.findall(r"^    (\w+)  ", index, re.MULTILINE))

    assert named == {file.stem for file in folder.glob("*.py")} - {"__init__"}


def test_what_is_installed_of_peers_is_fixed_by_its_content() -> None:
    """No committed file says where a peer comes from; each says what it has to be."""
    peers = ROOT / "tools" / "peers"
    lock = json.loads((peers / "javascript" / "package-lock.json").read_text(encoding="utf-8"))
    packages = [package for name, package in lock["packages"].items() if name]
    checksums = (peers / "java" / "checksums.txt").read_text(encoding="utf-8").splitlines()

    assert "github.com/dapr/durabletask-go v0.14.0 h1:" in (peers / "go" / "go.sum").read_text()
    assert all(len(line.split()[0]) == 64 for line in checksums)
    assert packages
    assert all("integrity" in package and "resolved" not in package for package in packages)
