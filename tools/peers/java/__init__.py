"""Dapr's Durable Task SDK for Java, installed from `pom.xml`, to run against ours.

One environment for each content of this folder. `checksums.txt` names every file that may be
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


def run(address: str, *names: str, timeout: float = 300) -> str:
    """Play these scenarios, or all, on the engine at this address; returns what is printed."""
    there = _compiled()
    classes = os.pathsep.join([str(there / "classes"), str(there / "jars" / "*")])
    return output(["java", "-cp", classes, "Peer", address, *names], timeout=timeout)


def _compiled() -> Path:
    sources = [FOLDER / name for name in ("pom.xml", "checksums.txt", "Peer.java")]
    content = hashlib.sha256(b"\0".join(file.read_bytes() for file in sources))
    return home(f"durabletask-java-{content.hexdigest()[:16]}", _make)


def _make(there: Path) -> None:
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
    source, classes = str(FOLDER / "Peer.java"), str(there / "classes")
    install("javac", "-d", classes, "-cp", str(jars / "*"), source, folder=there)


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
