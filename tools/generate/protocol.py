"""The message dataclasses, from canonical.proto and batch_stream.proto.

Everything happens in this process: protoc (of grpcio-tools) turns the contract into
descriptors with their comments, the betterproto2 compiler turns those into Python, and a
few lines move the result to where the package keeps it. The output depends on the
contract and on the pinned tools only.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import grpc_tools  # type: ignore[import-untyped]
from betterproto2_compiler.lib.google.protobuf import FileDescriptorSet, SourceCodeInfo
from betterproto2_compiler.lib.google.protobuf.compiler import CodeGeneratorRequest
from betterproto2_compiler.plugin.parser import generate_code
from grpc_tools import protoc

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "packages" / "durabletask-protocol"
CONTRACTS = PACKAGE / "proto"
MESSAGES = PACKAGE / "src" / "durabletask" / "protocol" / "messages"

# What the compiler calls its files, and what we call them. The rest of what it writes are
# empty package markers.
_NAMES = {
    "__init__.py": "_generated.py",
    "durabletask/sidecar/__init__.py": "_batch_stream.py",
    "google/protobuf/__init__.py": "_well_known.py",
    "message_pool.py": "_message_pool.py",
}

_WELL_KNOWN = "google.protobuf"

# The compiler lays out a tree of packages; ours is flat.
_IMPORTS = [
    (
        "from .google import protobuf as google_protobuf",
        "from . import _well_known as google_protobuf",
    ),
    ("from ...message_pool import", "from ._message_pool import"),
    ("from .message_pool import", "from ._message_pool import"),
]


def generated_files() -> dict[Path, str]:
    """The text that each generated file should have."""
    with _pinned_formatter(), tempfile.TemporaryDirectory() as scratch:
        descriptors = _descriptors(Path(scratch))
        # The compiler asks ruff to format; away from the tree it finds no configuration.
        with contextlib.chdir(scratch), contextlib.redirect_stderr(io.StringIO()):
            response = generate_code(
                CodeGeneratorRequest(
                    # Its stubs import gRPC or grpclib and cannot be cancelled.
                    parameter="client_generation=none,server_generation=none",
                    proto_file=descriptors.file,
                )
            )
    return {
        MESSAGES / _NAMES[file.name]: _flattened(file.content)
        for file in response.file
        if file.name in _NAMES
    }


def _descriptors(scratch: Path) -> FileDescriptorSet:
    output = scratch / "descriptors.bin"
    well_known = Path(grpc_tools.__file__).parent / "_proto"
    failed = protoc.main(
        [
            "protoc",
            f"--proto_path={CONTRACTS}",
            f"--proto_path={well_known}",
            f"--descriptor_set_out={output}",
            "--include_imports",
            "--include_source_info",
            *sorted(contract.name for contract in CONTRACTS.glob("*.proto")),
        ]
    )
    if failed:
        sys.exit(f"protoc does not accept {CONTRACTS.relative_to(ROOT)}; see its message above")
    descriptors = FileDescriptorSet.parse(output.read_bytes())
    for file in descriptors.file:
        if file.package == _WELL_KNOWN:
            # Comments of the well-known types change with the version of protoc.
            file.source_code_info = SourceCodeInfo()
        elif file.source_code_info is not None:
            # Headings of the contract stand apart; they describe no message.
            for location in file.source_code_info.location:
                location.leading_detached_comments = []
    return descriptors


@contextlib.contextmanager
def _pinned_formatter() -> Iterator[None]:
    """Let the compiler find this environment's ruff before any other on PATH."""
    before = os.environ.get("PATH", "")
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), before])
    try:
        yield
    finally:
        os.environ["PATH"] = before


def _flattened(source: str) -> str:
    for theirs, ours in _IMPORTS:
        source = source.replace(theirs, ours)
    return source
