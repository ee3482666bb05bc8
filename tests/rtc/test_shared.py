from dataclasses import replace

from router.rtc.agreement import agree
from router.rtc.shared import MAX_REMEMBERED, MAX_SHARED, SharedParts, remember, shared_parts
from tests.rtc.offers import VP8, offer, player, publisher, section


def test_equal_parts_become_one_object_and_nothing_else_changes() -> None:
    parts = SharedParts()
    one, two = parts.share(publisher()), parts.share(publisher(ufrag="other"))
    assert one == publisher()
    assert two == publisher(ufrag="other")
    for a, b in zip(one.media, two.media, strict=True):
        assert a.codecs is b.codecs
        assert a.extensions is b.extensions
    odd = parts.share(offer(section("v0", "sendonly", codecs=(VP8, replace(VP8, payload_type=99)))))
    assert odd.media[0].codecs[0] is one.media[1].codecs[0]
    assert odd.media[0].codecs[1].payload_type == 99


def test_the_table_is_bounded() -> None:
    parts = SharedParts()
    for number in range(2 * MAX_SHARED):
        parts.share(offer(section("v0", "sendonly", codecs=(replace(VP8, parameters={"x": str(number)}),))))
        assert len(parts._known) <= MAX_SHARED + 3


def test_what_is_shared_already_is_taken_as_it_is() -> None:
    parts = SharedParts()
    once = parts.share(publisher())
    again = replace(once, ufrag="other")
    assert parts.share(again) is again


def test_the_same_objects_are_computed_once_and_equal_ones_again() -> None:
    calls: list[tuple[int, ...]] = []

    @remember
    def longest(some: tuple[int, ...], others: tuple[int, ...]) -> tuple[int, ...]:
        calls.append(some)
        return max(some, others, key=len)

    some, others = (1, 2), (1, 2, 3)
    assert longest(some, others) is longest(some, others) is others
    assert len(calls) == 1
    assert longest(others, some) is others
    assert len(calls) == 2


def test_nothing_is_remembered_of_an_object_that_is_gone() -> None:
    first = remember(lambda values: values[0])
    for number in range(4 * MAX_REMEMBERED):
        assert first([number]) == number, "an id is used again once its object is freed"


def test_peers_of_one_browser_share_what_was_agreed() -> None:
    ours = shared_parts.share(publisher())
    one, two = (agree(ours, shared_parts.share(player(dtls_role="active"))) for _ in range(2))
    for a, b in zip(one.media, two.media, strict=True):
        assert a.codecs is b.codecs
        assert a.extensions is b.extensions
