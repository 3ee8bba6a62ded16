"""The headers of every call besides the token."""

from __future__ import annotations

import pytest

from durabletask.azuremanaged._headers import client_headers, worker_headers
from durabletask.azuremanaged._version import __version__


def test_a_client_sends_its_hub_and_user_agent() -> None:
    assert client_headers("orders") == (
        ("taskhub", "orders"),
        ("x-user-agent", f"durabletask-python/{__version__}"),
    )


def test_a_worker_sends_its_id_too() -> None:
    headers = worker_headers("orders", host="pod-1", pid=7, unique="u")

    assert headers == (*client_headers("orders"), ("workerid", "pod-1:7:u"))


def test_a_host_name_may_have_any_characters() -> None:
    headers = dict(worker_headers("orders", host="büro\n", pid=7, unique="u"))

    assert headers["workerid"] == "b?ro?:7:u"


@pytest.mark.parametrize("taskhub", ["", "  ", None])
def test_a_hub_without_a_name_is_refused(taskhub: str) -> None:
    with pytest.raises(ValueError, match="taskhub must not be empty"):
        client_headers(taskhub)


@pytest.mark.parametrize("taskhub", ["büro", "a\nb"])
def test_a_hub_that_no_header_can_hold_is_refused(taskhub: str) -> None:
    with pytest.raises(ValueError, match="printable ASCII"):
        client_headers(taskhub)
