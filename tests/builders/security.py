"""Authorities, certificates and files of tokens, made for one test each."""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import grpc
import trustme

from durabletask.protocol import codec, dialects
from tests.builders.sidecar import PATIENCE, Peer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from durabletask.protocol.methods import Method

# Of no secret: they are in this file.
ORDERS = "orders-0123456789abcdef"
BILLING = "billing-0123456789abcdef"
ADMIN = "admin-0123456789abcdef"

TOKENS = f"""\
# made for tests
orders   {ORDERS}
billing  {BILLING}

*        {ADMIN}
"""


class Authority:
    """Signs certificates, and writes what it makes to files of a folder."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._authority = trustme.CA()
        self._folder = folder
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(self.root)

    @property
    def root(self) -> bytes:
        return self._authority.cert_pem.bytes()

    def certify(self, name: str = "server") -> tuple[Path, Path]:
        """The files of a new certificate for this machine and its key, in place of earlier ones."""
        made = self._authority.issue_cert("localhost", "127.0.0.1", "::1")
        cert, key = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        for path, content in ((cert, chain(made)), (key, made.private_key_pem.bytes())):
            replace(path, content)
        return cert, key

    def trusted(self, client: Authority | None = None) -> grpc.ChannelCredentials:
        """How a client trusts this authority, itself certified by another or by none."""
        if client is None:
            return grpc.ssl_channel_credentials(self.root)
        made = client._authority.issue_cert("worker.example")
        return grpc.ssl_channel_credentials(self.root, made.private_key_pem.bytes(), chain(made))


def chain(made: trustme.LeafCert) -> bytes:
    return b"".join(each.bytes() for each in made.cert_chain_pems)


def replace(path: Path, content: bytes | str | None) -> None:
    """Write a secret as one should: all at once, and for its owner only. None removes it."""
    if content is None:
        path.unlink()
        return
    made = path.with_name(f"{path.name}.new")
    made.touch(mode=0o600)
    made.write_bytes(content.encode() if isinstance(content, str) else content)
    made.replace(path)


@asynccontextmanager
async def connected(
    address: str, credentials: grpc.ChannelCredentials | None = None, *metadata: tuple[str, str]
) -> AsyncIterator[Authorized]:
    """A peer over TLS, or in plain text, that sends this metadata with each call."""
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]
    channel = (
        grpc.aio.insecure_channel(address, options)
        if credentials is None
        else grpc.aio.secure_channel(address, credentials, options)
    )
    async with channel:
        yield Authorized(channel, metadata)


class Authorized(Peer):
    """A peer that sends metadata of its own."""

    def __init__(self, channel: grpc.aio.Channel, metadata: Any = ()) -> None:
        super().__init__(channel)
        self._metadata = tuple(metadata)

    async def seen(self, method: Method, request: Any = b"") -> Seen:
        """All that a caller gets to see of an answer, whatever the method."""
        raw = request if isinstance(request, bytes) else codec.encode(request, dialects.TASKHUB)
        call: Any = self.channel.unary_stream(method.path)
        made = call(raw, timeout=PATIENCE, metadata=self._metadata)
        responses = []
        with suppress(grpc.aio.AioRpcError):
            async for response in made:
                responses.append(response)  # noqa: PERF401 - what came before a refusal counts
        return Seen(
            await made.code(),
            await made.details(),
            tuple(await made.initial_metadata()),
            tuple(await made.trailing_metadata()),
            tuple(responses),
        )


class Seen(NamedTuple):
    """What an answer shows."""

    code: grpc.StatusCode
    details: str
    initial_metadata: tuple[Any, ...]
    trailing_metadata: tuple[Any, ...]
    responses: tuple[bytes, ...]


def bearer(token: str, hub: str | None = None) -> tuple[tuple[str, str], ...]:
    """What a call sends to be let into a task hub."""
    authorization = ("authorization", f"Bearer {token}")
    return (authorization,) if hub is None else (authorization, ("taskhub", hub))
