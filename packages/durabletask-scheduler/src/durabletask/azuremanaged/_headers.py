"""The headers of every call besides the token: the task hub, the SDK and the worker.

Does no I/O: the host's name, the process id and the unique id are arguments.
"""

from __future__ import annotations

from ._version import __version__

Header = tuple[str, str]


def client_headers(taskhub: str) -> tuple[Header, ...]:
    """The headers of a client; raises ValueError for a name that no header can hold."""
    return ("taskhub", checked_taskhub(taskhub)), (
        "x-user-agent",
        f"durabletask-python/{__version__}",
    )


def worker_headers(taskhub: str, *, host: str, pid: int, unique: str) -> tuple[Header, ...]:
    """The headers of a worker, which has a name of its own as well."""
    # gRPC refuses headers that are not ASCII, but a host name may have any characters.
    name = "".join(letter if _is_plain(letter) else "?" for letter in host)
    return *client_headers(taskhub), ("workerid", f"{name}:{pid}:{unique}")


def checked_taskhub(taskhub: str) -> str:
    """The task hub's name, without spaces around it."""
    name = (taskhub or "").strip()
    if not name:
        raise ValueError("taskhub must not be empty: give the name of the task hub.")
    if not all(map(_is_plain, name)):
        raise ValueError(
            f"taskhub is {taskhub!r}, but it can hold printable ASCII characters only."
        )
    return name


def _is_plain(letter: str) -> bool:
    return letter.isascii() and letter.isprintable()
