"""The log of the sidecar: format, fields, and what is never in it."""

from __future__ import annotations

import ast
import asyncio
import io
import json
import logging
import sys
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest

import durabletask.sidecar
from durabletask.protocol import messages, methods
from durabletask.sidecar.operations.logs import JsonLines, TextLines
from durabletask.sidecar.store import StoreError
from durabletask.sidecar.store.memory import MemoryStore
from tests.builders.command import PATIENCE, address_in, running
from tests.builders.sidecar import Peer, complete, connected, schedule, serving
from tests.prove import http2

if TYPE_CHECKING:
    from collections.abc import Iterator


def record(message: str, **fields: Any) -> logging.LogRecord:
    error = fields.pop("exc_info", None)
    made = logging.LogRecord("durabletask.sidecar", logging.ERROR, "", 0, message, (), error)
    made.created = 0.25
    vars(made).update(fields)
    return made


def raised(text: str) -> Any:
    try:
        raise RuntimeError(text)
    except RuntimeError:
        return sys.exc_info()


@contextmanager
def written(level: int = logging.DEBUG) -> Iterator[io.StringIO]:
    """What the sidecar in this process logs inside the block, as JSON lines."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    logger = logging.getLogger("durabletask.sidecar")
    before = logger.level
    logger.setLevel(level)
    logger.addHandler(handler)
    try:
        yield stream
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_json_line_has_time_level_logger_message_and_fields() -> None:
    assert json.loads(JsonLines().format(record("it failed", hub="h", instance_id="a"))) == {
        "time": "1970-01-01T00:00:00.250Z",
        "level": "error",
        "logger": "durabletask.sidecar",
        "message": "it failed",
        "hub": "h",
        "instance_id": "a",
    }


def test_a_text_line_has_the_same_parts() -> None:
    assert TextLines().format(record("it failed", method="Hello")) == (
        '1970-01-01T00:00:00.250Z ERROR durabletask.sidecar: it failed method="Hello"'
    )


def test_a_traceback_is_part_of_the_json_line() -> None:
    line = JsonLines().format(record("it failed", exc_info=raised("the cause")))

    assert "\n" not in line
    assert json.loads(line)["error"].endswith("RuntimeError: the cause")


def test_a_traceback_follows_the_text_line() -> None:
    text = TextLines().format(record("it failed", exc_info=raised("the cause")))

    assert text.splitlines()[0].endswith("it failed")
    assert text.splitlines()[-1] == "RuntimeError: the cause"


@pytest.mark.parametrize("formatter", [JsonLines(), TextLines()], ids=["json", "text"])
def test_a_line_break_in_a_field_does_not_begin_a_line(formatter: logging.Formatter) -> None:
    forged = formatter.format(record("it failed", instance_id="a\n1970 INFO all is well\u2028"))

    assert len(forged.splitlines()) == 1


@pytest.mark.parametrize("formatter", [JsonLines(), TextLines()], ids=["json", "text"])
@pytest.mark.parametrize("end", ["\n", "\r", "\x85", "\u2028"])
def test_a_line_break_in_the_message_does_not_begin_a_line(
    formatter: logging.Formatter, end: str
) -> None:
    forged = formatter.format(
        record(f"the stored data of 'a{end}1970 INFO all is well' is damaged")
    )

    assert len(forged.splitlines()) == 1


def test_a_field_that_is_not_listed_is_not_written() -> None:
    assert "hunter2" not in JsonLines().format(record("it failed", password="hunter2"))


def logged_fields() -> set[str]:
    """The keys of every `extra` that the sidecar's source passes to a logger as a literal."""
    folder = Path(durabletask.sidecar.__file__).parent
    trees = [ast.parse(each.read_text()) for each in folder.rglob("*.py")]
    calls = (each for tree in trees for each in ast.walk(tree) if isinstance(each, ast.Call))
    extras = (each.value for call in calls for each in call.keywords if each.arg == "extra")
    keys = (key for extra in extras if isinstance(extra, ast.Dict) for key in extra.keys)
    return {str(key.value) for key in keys if isinstance(key, ast.Constant)}


def test_every_field_that_the_sidecar_logs_is_written() -> None:
    fields = logged_fields()

    line = json.loads(JsonLines().format(record("it failed", **dict.fromkeys(fields, "x"))))

    assert {"hub", "address", "storage"} <= fields <= line.keys()


async def test_a_change_that_cannot_be_stored_is_an_error() -> None:
    class Full(MemoryStore):
        def commit(self, changes: Any) -> None:
            raise StoreError("the disk is full")

    with written(logging.WARNING) as log:
        async with serving(store=Full()) as peer:
            with pytest.raises(grpc.aio.AioRpcError):
                await peer.start()

    (line,) = lines(log.getvalue())
    assert (line["level"], line["changes"]) == ("error", 1)
    assert line["message"] == "Cannot commit changes: the disk is full"


async def test_a_defect_is_logged_with_its_task_hub_and_instance() -> None:
    class Broken(MemoryStore):
        def commit(self, changes: Any) -> None:
            raise RuntimeError("a defect")

    with written(logging.WARNING) as log:
        async with serving(store=Broken()) as peer:
            with pytest.raises(grpc.aio.AioRpcError):
                await peer.of_hub("h").start(instance_id="one")

    line = lines(log.getvalue())[0]
    assert (line["hub"], line["instance_id"]) == ("h", "one")


async def test_a_refused_call_is_logged_at_debug_level() -> None:
    with written() as log:
        async with serving() as peer:
            await peer.of_hub("h").refusal(methods.GET_INSTANCE, b"\xff")

    refused = [line for line in lines(log.getvalue()) if line["message"] == "Call refused"]
    assert [(line["hub"], line["method"], line["status"]) for line in refused] == [
        ("h", "GetInstance", "INVALID_ARGUMENT")
    ]


async def test_connecting_and_disconnecting_workers_are_logged() -> None:
    with written(logging.INFO) as log:
        async with serving() as peer:
            items = peer.of_hub("h").work()
            await items.opened()

    told = [(line["message"], line.get("hub")) for line in lines(log.getvalue())]
    assert told == [
        ("Serving", None),
        ("Worker connected", "h"),
        ("Worker disconnected", "h"),
        ("Stopped", None),
    ]


SECRET = "s3cr3t"


async def live_a_secret_life(peer: Peer) -> None:
    """Send a secret wherever a client or worker can put one, in calls that succeed and fail."""
    headers = [("authorization", f"Bearer {SECRET}")]
    details = messages.TaskFailureDetails(error_type=SECRET, error_message=SECRET)
    items = peer.work(headers=headers)
    await peer.start(input=SECRET)
    with pytest.raises(grpc.aio.AioRpcError):
        await peer.start(input=SECRET)
    await peer.raise_event("name", SECRET)
    item = await items.next()
    await peer.call(
        methods.ABANDON_ORCHESTRATION_TASK,
        messages.AbandonOrchestrationTaskRequest(completion_token=item.completion_token),
    )
    item = await items.next()
    await peer.decide(item, schedule(1, input=SECRET), custom_status=SECRET)
    await peer.finish(await items.next(), failure_details=details)
    await peer.decide(await items.next(), complete(2, SECRET, failure_details=details))
    for method in (methods.GET_INSTANCE, methods.QUERY_INSTANCES, methods.COMPLETE_ACTIVITY_TASK):
        await peer.refusal(method, b"\xff" + SECRET.encode())


async def send_metadata_that_is_no_text(address: str) -> None:
    """A token that is not ASCII, which gRPC's own clients would not send."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    metadata = {"authorization": f"Bearer {SECRET}\udce9"}
    writer.write(http2.hello() + http2.call(methods.HELLO, b"", metadata=metadata))
    async with asyncio.timeout(PATIENCE):
        await reader.readuntil(b"grpc-status")
    writer.close()


@pytest.mark.parametrize("form", ["json", "text"])
async def test_nothing_secret_is_logged_at_any_level(form: str) -> None:
    with running("--port", "0", "--log-level", "debug", "--log-format", form) as (process, line):
        async with connected(address_in(line)) as peer:
            await live_a_secret_life(peer)
        await send_metadata_that_is_no_text(address_in(line))
        process.terminate()
        _, log = await asyncio.to_thread(process.communicate, timeout=PATIENCE)

    assert "Call refused" in log
    assert SECRET not in log
    if form == "json":
        for each in lines(log):
            assert datetime.fromisoformat(each["time"]).tzinfo is not None
