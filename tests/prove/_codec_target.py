"""What atheris runs: the claims about the codec, on inputs that reach more and more of its code.

The arguments are libFuzzer's. Runs in an environment of its own, see `codec`.
"""

from __future__ import annotations

import base64
import sys
from typing import Any

import atheris  # type: ignore[import-untyped] # only in the environment that this runs in

with atheris.instrument_imports(include=["durabletask.protocol"]):
    from durabletask.protocol import compiler
    from tests.prove import codec_claims


def _instrumented(source: str, filename: str, mode: str) -> Any:
    """The functions that read and write messages are no modules, whose import could be watched."""
    return atheris.patch_code(compile(source, filename, mode), True)


def _check(data: bytes) -> None:
    try:
        codec_claims.check(data)
    except BaseException:
        sys.stderr.write(f"broken by {base64.b64encode(data).decode()}\n")
        raise


vars(compiler)["compile"] = _instrumented
atheris.Setup(sys.argv, _check)
atheris.Fuzz()
