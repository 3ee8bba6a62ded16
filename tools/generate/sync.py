"""The clients and transports for ordinary threads, from those for an event loop.

`async` and `await` are dropped, and names and a few phrases are replaced by a table, in code,
docstrings and comments alike; then ruff sorts the imports and formats. What differs in more
than names stands in `async_io.py` and `sync_io.py`, under the same names.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_CLIENT = ROOT / "packages/durabletask-client/src/durabletask"
_SCHEDULER = ROOT / "packages/durabletask-scheduler/src/durabletask"

PAIRS = {
    _CLIENT / "transport/async_transport.py": _CLIENT / "transport/sync_transport.py",
    _CLIENT / "transport/async_calls.py": _CLIENT / "transport/sync_calls.py",
    _CLIENT / "transport/async_in_process.py": _CLIENT / "transport/sync_in_process.py",
    _CLIENT / "client/_async_client.py": _CLIENT / "client/_sync_client.py",
    _SCHEDULER / "azuremanaged/_async_client.py": _SCHEDULER / "azuremanaged/_sync_client.py",
}
"""The sources, each with the file that is generated from it."""

_NAMES = {
    "AioRpcError": "RpcError",
    "AsyncByteStream": "ByteStream",
    "AsyncClientTransport": "ClientTransport",
    "AsyncDurableTaskSchedulerClient": "DurableTaskSchedulerClient",
    "AsyncInProcessResponses": "InProcessResponses",
    "AsyncInProcessTransport": "InProcessTransport",
    "AsyncIterator": "Iterator",
    "AsyncResponses": "Responses",
    "AsyncTaskHubGrpcClient": "TaskHubGrpcClient",
    "AsyncTransport": "Transport",
    "GrpcAsyncTransport": "GrpcTransport",
    "StopAsyncIteration": "StopIteration",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "__anext__": "__next__",
    "aclose": "close",
    "aiter": "iter",
    "anext": "next",
    "async_calls": "sync_calls",
    "async_in_process": "sync_in_process",
    "async_io": "sync_io",
    "async_waiting": "sync_waiting",
    "for_asyncio": "for_threads",
    "grpc_async_transport": "grpc_transport",
    "pause_async": "pause",
}

_PHRASES = {
    ", from one event loop at a time": "; safe to share between threads",
    ", for the loop that runs\n    then": "",
    "after a fork or on another loop": "after a fork",
    "an event loop": "ordinary threads",
    "AsyncTokenCredential | TokenCredential": "TokenCredential",
    """From `azure.identity.aio`, which needs aiohttp, or from
            `azure.identity`, which is asked on a thread. The""": "From `azure.identity`. The",
    "azure.identity.aio": "azure.identity",
}

_RULES = (
    # The linter's rules for asynchronous code.
    (re.compile(r" *# noqa: ASYNC.*"), ""),
    (re.compile(r"\bawait |\basync (?=def |with |for )"), ""),
    (re.compile(r"\bgrpc\.aio\b"), "grpc"),
    *((re.compile(re.escape(phrase)), text) for phrase, text in _PHRASES.items()),
    *((re.compile(rf"\b{name}\b"), text) for name, text in _NAMES.items()),
)


# A name or a phrase that the tables lack.
_LEFTOVER = re.compile(r".*(?:\b_?async|\bawait|Async|asyncio|event loop).*")


def generated_files() -> dict[Path, str]:
    """The text that each generated file should have."""
    return {target: _generated(source, target) for source, target in PAIRS.items()}


def _generated(source: Path, target: Path) -> str:
    text = _formatted(_without_async(source.read_text(encoding="utf-8")), target)
    if leftover := _LEFTOVER.search(text):
        sys.exit(f"{source.name} has what the tables of {Path(__file__).name} lack: {leftover[0]}")
    return f"# Generated from {source.name} by `hatch run generate`; do not edit.\n{text}"


def _without_async(text: str) -> str:
    """The same program for ordinary threads, not formatted."""
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text


def _formatted(text: str, path: Path) -> str:
    # Ruff calls this fix unsafe in general; here it turns a loop back into `yield from`.
    extra = ["--config", 'lint.extend-safe-fixes = ["UP028"]']
    for command in (["check", "--fix-only", "--quiet", *extra], ["format"]):
        text = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--stdin-filename", str(path), "-"],
            input=text,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout
    return text
