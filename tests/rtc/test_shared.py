from dataclasses import replace

from router.rtc.shared import MAX_SHARED, SharedParts
from tests.rtc.offers import VP8, offer, publisher, section


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
