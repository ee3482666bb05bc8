"""The scripts that tests put into pages, as text."""

from pathlib import Path

from tests.e2e.watch import STAMP

HERE = Path(__file__).parent
SLOTS = (HERE / "slots.js").read_text()
STATIC_OFFER_PAGE = "\n".join((STAMP, SLOTS, (HERE / "static_offer.js").read_text()))
"""Stamped cameras, slots that are read from outside, and `joinByOffer`."""
