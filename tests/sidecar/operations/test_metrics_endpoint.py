"""The page of metrics, when it cannot be made."""

from __future__ import annotations

import asyncio

from durabletask.sidecar.operations.metrics_endpoint import Scrapes
from tests.builders.sidecar import PATIENCE

# More than connections that there may be.
MANY = 30


async def test_a_page_that_fails_costs_its_connection_and_no_other() -> None:
    asked = 0

    def page(_accept: str) -> tuple[bytes, str]:
        nonlocal asked
        asked += 1
        if asked <= MANY:
            raise RuntimeError("cannot count")
        return b"counts", "text/plain"

    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    scrapes = Scrapes("127.0.0.1", 0, page)
    await scrapes.start()
    answers = [await scraped(scrapes.address) for _ in range(MANY + 1)]
    await scrapes.stop()

    assert answers[:-1] == [b""] * MANY
    assert answers[-1].endswith(b"counts")


async def scraped(address: str) -> bytes:
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /metrics HTTP/1.1\r\n\r\n")
    async with asyncio.timeout(PATIENCE):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""
        finally:
            writer.close()
