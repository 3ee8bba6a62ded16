"""Files of certificates and tokens: what is refused, and what happens when they change."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import serialization

from durabletask.sidecar import Security, SecurityError
from durabletask.sidecar.network.certificates import Certificates
from durabletask.sidecar.security import token_table
from durabletask.sidecar.security.files import FileBacked
from tests.builders.security import ADMIN, ORDERS, TOKENS, Authority, replace

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


class Number:
    """A number in a file, and how often it was read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.reads = 0

    def read(self) -> int:
        self.reads += 1
        try:
            return int(self.path.read_text())
        except ValueError as error:
            raise SecurityError(f"{self.path} has no number") from error


@pytest.fixture
def number(tmp_path: Path) -> Number:
    path = tmp_path / "number"
    replace(path, "1")
    return Number(path)


def test_an_unchanged_file_is_read_once(number: Number) -> None:
    value = FileBacked([number.path], number.read)

    assert [value.current(), value.current()] == [1, 1]
    assert number.reads == 1


def test_a_changed_file_is_read_again(number: Number) -> None:
    value = FileBacked([number.path], number.read)

    replace(number.path, "2")

    assert value.current() == 2


@pytest.mark.parametrize("change", ["no number", None])
def test_a_file_that_cannot_be_used_leaves_the_earlier_value_in_force_and_is_logged_once(
    number: Number, change: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    value = FileBacked([number.path], number.read)

    replace(number.path, change)
    values = [value.current(), value.current()]

    assert values == [1, 1]
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert str(number.path) in record.message


def test_the_next_file_that_can_be_used_is_used(number: Number) -> None:
    value = FileBacked([number.path], number.read)
    replace(number.path, "no number")
    value.current()

    replace(number.path, "3")

    assert value.current() == 3


def test_a_file_that_changes_while_it_is_read_is_read_again(number: Number) -> None:
    def read_and_change() -> int:
        found = number.read()
        if found == 1:
            replace(number.path, "2")
        return found

    value = FileBacked([number.path], read_and_change)

    assert value.current() == 2


def test_a_certificate_its_key_and_an_authority_are_accepted(authority: Authority) -> None:
    assert Certificates(*authority.certify(), authority.file).credentials() is not None


def test_a_key_of_another_certificate_is_refused(authority: Authority) -> None:
    cert, _ = authority.certify("one")
    _, key = authority.certify("two")

    with pytest.raises(SecurityError, match="is not the key of the certificate") as raised:
        Certificates(cert, key)

    assert str(cert) in str(raised.value)
    assert str(key) in str(raised.value)


@pytest.mark.parametrize("broken", ["server.pem", "server.key", "authority.pem"])
def test_a_file_that_is_not_pem_is_refused_by_its_name(
    authority: Authority, tmp_path: Path, broken: str
) -> None:
    cert, key = authority.certify()
    (tmp_path / broken).write_text("-----BEGIN NOTHING-----")

    with pytest.raises(SecurityError, match=broken):
        Certificates(cert, key, authority.file)


@pytest.mark.parametrize("missing", ["server.pem", "server.key", "authority.pem"])
def test_a_missing_file_is_refused_by_its_name(
    authority: Authority, tmp_path: Path, missing: str
) -> None:
    cert, key = authority.certify()
    (tmp_path / missing).unlink()

    with pytest.raises(SecurityError, match=rf"cannot read .*{missing}: No such file"):
        Certificates(cert, key, authority.file)


def test_a_key_with_a_passphrase_is_refused_without_asking_for_it(
    authority: Authority, tmp_path: Path
) -> None:
    cert, key = authority.certify()
    locked = tmp_path / "locked.key"
    private = serialization.load_pem_private_key(key.read_bytes(), password=None)
    locked.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"1234"),
        )
    )

    with pytest.raises(SecurityError, match=r"locked\.key has a passphrase"):
        Certificates(cert, locked)


def test_a_table_of_tokens_is_read_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    replace(path, TOKENS)

    assert token_table.load(path).current().hubs_of(ORDERS) == {"orders"}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(b"orders \xff\xfe", "not text"), (b"orders", "line 1"), (b"", "no token")],
)
def test_a_malformed_token_file_is_refused_by_its_name(
    tmp_path: Path, content: bytes, complaint: str
) -> None:
    path = tmp_path / "tokens"
    replace(path, content)

    with pytest.raises(SecurityError, match=rf"{path}.*{complaint}"):
        token_table.load(path)


@pytest.mark.parametrize("name", ["tokens", "server.key"])
def test_a_secret_that_every_user_can_read_is_logged(
    authority: Authority, tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "tokens"
    replace(path, TOKENS)
    cert, key = authority.certify()
    (tmp_path / name).chmod(0o644)

    token_table.load(path)
    Certificates(cert, key)

    (record,) = caplog.records
    assert (
        record.message
        == f"Every user of this machine can read {tmp_path / name}: run chmod 600 on it"
    )
    assert ADMIN not in caplog.text


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({"tls_cert": "a"}, "tls-key"),
        ({"tls_key": "a"}, "tls-cert"),
        ({"client_ca": "a"}, "tls-cert"),
    ],
)
def test_a_file_that_needs_another_is_refused_without_it(
    given: dict[str, str], missing: str
) -> None:
    with pytest.raises(ValueError, match=missing):
        Security(**given)
