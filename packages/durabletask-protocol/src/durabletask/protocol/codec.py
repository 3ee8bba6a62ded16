"""Placeholder facade until the compiled codec lands; the names are final."""

from __future__ import annotations

from typing import Any, TypeVar

import betterproto2

M = TypeVar("M", bound=betterproto2.Message)


class DecodeError(ValueError):
    """The bytes are not a message of the expected type."""


def decode(message_class: type[M], raw: bytes | memoryview, dialect: Any = None) -> M:
    return message_class.parse(bytes(raw))


def encode(message: betterproto2.Message, dialect: Any = None) -> bytes:
    return bytes(message)
