"""Which token is for which task hub."""

from __future__ import annotations

import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durabletask.sidecar.security.token_table import MIN_LENGTH, TokenTableError, covers, parse
from tests.builders.security import ADMIN, BILLING, ORDERS, TOKENS

tokens = st.from_regex(r"\A[A-Za-z0-9._~+/-]{16,40}={0,2}\Z")


def hubs_of(text: str, token: str) -> frozenset[str] | None:
    return parse(text).hubs_of(token)


def test_a_token_is_for_the_hub_of_its_line() -> None:
    assert hubs_of(TOKENS, ORDERS) == {"orders"}
    assert hubs_of(TOKENS, BILLING) == {"billing"}


def test_one_hub_may_have_several_tokens_and_one_token_several_hubs() -> None:
    table = f"orders {ORDERS}\norders {ADMIN}\nbilling {ADMIN}"

    assert hubs_of(table, ORDERS) == {"orders"}
    assert hubs_of(table, ADMIN) == {"orders", "billing"}


def test_a_hub_may_have_spaces_in_its_name() -> None:
    assert hubs_of(f"my  own hub \t {ORDERS}", ORDERS) == {"my  own hub"}


@pytest.mark.parametrize("token", ["", " ", ORDERS[:-1], ORDERS + "x", ORDERS.upper(), "orders"])
def test_only_a_whole_token_is_known(token: str) -> None:
    assert hubs_of(TOKENS, token) is None


@given(known=tokens, given_=tokens | st.text(max_size=60))
def test_a_token_is_known_only_if_it_is_in_the_table(known: str, given_: str) -> None:
    assert (hubs_of(f"orders {known}", given_) is not None) == (given_ == known)


def test_a_token_covers_its_hubs_and_a_star_covers_all() -> None:
    assert covers(frozenset({"orders"}), "orders")
    assert not covers(frozenset({"orders"}), "billing")
    assert not covers(frozenset({"orders"}), "*")
    assert covers(frozenset({"*"}), "billing")


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ("", "no token"),
        ("# only a comment\n\n", "no token"),
        (f"\n{ORDERS}", "line 2 is not a task hub and a token"),
        ("orders short", f"line 1: a token must have at least {MIN_LENGTH} characters"),
        (f"# one\norders {ORDERS}!", "line 2: a token may contain only letters"),
        (f"orders {ORDERS}\x7f", "line 1: a token may contain only letters"),
    ],
)
def test_a_malformed_table_is_refused_by_the_number_of_its_line(table: str, complaint: str) -> None:
    with pytest.raises(TokenTableError, match=complaint):
        parse(table)


@given(st.text())
def test_no_error_quotes_the_file(word: str) -> None:
    secret = "".join(word.split()) + "SECRET"

    with pytest.raises(TokenTableError) as raised:
        parse(f"{secret}\norders {secret[-5:]}")

    assert "SECRET" not in str(raised.value)


def test_the_table_shows_no_token() -> None:
    assert ORDERS not in repr(parse(TOKENS))


def test_every_known_token_is_compared_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []
    digests_are_equal = hmac.compare_digest

    def compare(known: bytes, given: bytes) -> bool:
        compared.append((len(known), len(given)))
        return digests_are_equal(known, given)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    table = parse(TOKENS)
    for token in (ORDERS, ADMIN, "x", "x" * 5000):
        table.hubs_of(token)

    assert compared == [(32, 32)] * 3 * 4
