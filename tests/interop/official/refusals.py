"""How a backend says no."""

from __future__ import annotations

from grpc import RpcError


def refused(call, *arguments, **options):
    """The name of the status with which the call is refused; None when it is not."""
    try:
        call(*arguments, **options)
    except RpcError as error:
        return error.code().name
    return None
