"""What a node shows another in place of the admin token: for one request, at one node, for half a minute."""

import pytest

from router.admin.node_proof import CLOCK_SKEW_S, LIFETIME_S, SCHEME, find_signer, read_target, sign
from router.admin.tokens import AdminToken, AdminTokens

TOKENS = AdminTokens([AdminToken("one", "a long enough token"), AdminToken("two", "another long token", "read")])
TWO = list(TOKENS)[1]
TARGET = "/v1/rooms/a%20b?limit=5"


def proof(age_s: float = 0.0) -> str:
    from router import clock

    scheme, _, value = sign(TWO, "N_1", "GET", TARGET, now_s=lambda: clock.wall_s() - age_s).partition(" ")
    assert scheme == SCHEME
    return value


def test_the_signer_is_found_and_the_token_is_not_shown() -> None:
    assert find_signer(proof(), TOKENS, "N_1", "GET", TARGET) == TWO
    assert "another" not in proof()


@pytest.mark.parametrize(
    ("node", "method", "target"),
    [("N_2", "GET", TARGET), ("N_1", "DELETE", TARGET), ("N_1", "GET", "/v1/rooms/a%20b"), ("N_1", "GET", "/v1/rooms")],
)
def test_it_is_good_for_one_request_at_one_node(node: str, method: str, target: str) -> None:
    assert find_signer(proof(), TOKENS, node, method, target) is None


def test_it_does_not_live_long_and_needs_its_token() -> None:
    assert find_signer(proof(LIFETIME_S + CLOCK_SKEW_S - 5), TOKENS, "N_1", "GET", TARGET) == TWO
    assert find_signer(proof(LIFETIME_S + CLOCK_SKEW_S + 5), TOKENS, "N_1", "GET", TARGET) is None
    assert find_signer(proof(), AdminTokens(list(TOKENS)[:1]), "N_1", "GET", TARGET) is None
    for wrong in ("", "x", "a.b.c", "e" * 100_000):
        assert find_signer(wrong, TOKENS, "N_1", "GET", TARGET) is None


def test_a_target_is_read_the_same_by_both() -> None:
    read = read_target({"raw_path": b"/v1/rooms/\xff a%20b", "path": "", "query_string": b"q=\xe4&r=%25\r\n"})
    assert read == "/v1/rooms/%FF%20a%20b?q=%E4&r=%25%0D%0A"
    path, _, query = read.partition("?")
    assert read_target({"raw_path": path.encode(), "path": "", "query_string": query.encode()}) == read
