"""Dapr's Durable Task SDK for Java, installed from `pom.xml`, and programs compiled against it.

One environment for each program and content of this folder. `checksums.txt` names every file that may be
there; where it comes from, Maven decides.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from pathlib import Path

from tools.peers.homes import UnavailableError, home, install, output

FOLDER = Path(__file__).resolve().parent

OLDEST_JAVA = 17


def run(source: Path, *arguments: str, timeout: float = 300) -> str:
    """Run the program of one file with the SDK; returns what it printed, raises if it failed."""
    there = _compiled(source)
    classes = os.pathsep.join([str(there / "classes"), str(there / "jars" / "*")])
    return output(["java", "-cp", classes, source.stem, *arguments], timeout=timeout)


def _compiled(source: Path) -> Path:
    files = [FOLDER / "pom.xml", FOLDER / "checksums.txt", source]
    content = hashlib.sha256(b"\0".join(file.read_bytes() for file in files))
    return home(f"durabletask-java-{content.hexdigest()[:16]}", lambda there: _make(there, source))


def _make(there: Path, source: Path) -> None:
    for program in ("mvn", "javac"):
        if shutil.which(program) is None:
            raise UnavailableError(f"{program} is not on the path")
    _demand_java(there)
    jars = there / "jars"
    copying = (
        "dependency:copy-dependencies",
        "-DincludeScope=runtime",
        f"-DoutputDirectory={jars}",
    )
    install("mvn", "-q", "-B", "-f", str(FOLDER / "pom.xml"), *copying, folder=there)
    _verify(jars)
    compiling = ("-d", str(there / "classes"), "-cp", str(jars / "*"), str(source))
    install("javac", *compiling, folder=there)


def _demand_java(folder: Path) -> None:
    version = output(["javac", "-version"], folder=folder)
    major = re.search(r"(\d+)", version)
    if major is None or int(major[1]) < OLDEST_JAVA:
        raise UnavailableError(f"Java {OLDEST_JAVA} is needed, and this is {version}")


def _verify(jars: Path) -> None:
    lines = (FOLDER / "checksums.txt").read_text().splitlines()
    expected = {name: checksum for checksum, name in map(str.split, lines)}
    found = {jar.name: hashlib.sha256(jar.read_bytes()).hexdigest() for jar in jars.iterdir()}
    if found != expected:
        differing = sorted(name for name, _ in found.items() ^ expected.items())
        raise RuntimeError(f"not what checksums.txt names: {', '.join(dict.fromkeys(differing))}")
