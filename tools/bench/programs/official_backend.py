"""The official SDK's in-memory backend in a process of its own; prints its address.

Runs inside the peer's environment, until its standard input is closed.
"""

import socket
import sys

from durabletask.testing import create_test_backend

# By default it refuses histories of more than 10,000 events; fan-5000 has as many.
_ROOMY = 1_000_000


def main() -> None:
    # It cannot pick a port itself.
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    backend = create_test_backend(port=port, max_history_size=_ROOMY)
    print(f"localhost:{port}", flush=True)
    sys.stdin.read()
    backend.stop()


if __name__ == "__main__":
    main()
