"""What clients and workers do with a `payload_store` as long as they cannot use one."""

from __future__ import annotations


def refuse_payload_store(payload_store: object | None) -> None:
    """Say so rather than send a large payload where a small one was promised."""
    if payload_store is not None:
        raise NotImplementedError("This version cannot keep payloads in a payload_store yet.")
