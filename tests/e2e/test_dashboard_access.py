"""The dashboard without a mouse, for screen readers, on the narrowest screens and in both colour schemes.

What an audit by axe-core found is held here without it: contrast as WCAG 2.2 computes it (1.4.3), names and headers of
tables, landmarks in order, focus that is seen, figures of charts by key.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from urllib.parse import quote

import pytest

from tests.e2e.chromium import Window, launch_chromium
from tests.e2e.router_process import run_router
from tests.e2e.test_dashboard import NAMES, READER, ROOM, SETTINGS, join, open_dashboard, sign_in, wait_live
from tests.e2e.watch import wait_for

VIEWS = ("#/", f"#/rooms/{quote(ROOM, safe='')}", "")
"""The last is the participant's, found by a click."""
FOCUSED = "document.activeElement"
TEXTS = """
(() => {
  const numbers = (text) => text.match(/[\\d.]+/g).map(Number);
  const over = ([r, g, b, a = 1], below) => [r, g, b].map((v, i) => v * a + below[i] * (1 - a));
  const ground = (node) => {
    const parents = [];
    for (let each = node; each; each = each.parentElement) parents.unshift(getComputedStyle(each).backgroundColor);
    return parents.map(numbers).reduce((below, color) => over(color, below), [255, 255, 255]);
  };
  const light = (color) => {
    const [r, g, b] = color.map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const poor = [];
  for (let text = walker.nextNode(); text; text = walker.nextNode()) {
    const node = text.parentElement;
    if (!text.data.trim() || !node.checkVisibility() || node.closest('.unseen, [disabled]')) continue;
    const below = ground(node);
    const [one, other] = [light(over(numbers(getComputedStyle(node).color), below)), light(below)];
    const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (contrast < 4.5) poor.push(`${text.data.trim()} ${contrast.toFixed(2)}`);
  }
  return poor;
})()
"""
"""Texts that are hard to read against what is behind them."""
TABLES = """
[...document.querySelectorAll('table')].filter((table) => table.checkVisibility()).map((table) => ({
  named: Boolean(table.caption.textContent),
  heads: [...table.querySelectorAll('thead th')].filter((th) => th.checkVisibility() && th.scope === 'col').length,
  rows: [...table.tBodies[0].rows].map((row) => [...row.cells].filter((cell) => cell.checkVisibility()).length),
  row_heads: [...table.tBodies[0].rows].map((row) => row.querySelectorAll('th[scope=row]').length),
}))
"""
HEADINGS = """
[...document.querySelectorAll('h1, h2, h3, h4')].filter((h) => h.checkVisibility()).map((h) => Number(h.tagName[1]))
"""
OUTLINED = """
[null, '::after'].some((pseudo) => {
  const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement, pseudo);
  return outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2;
})
"""
VALUE = f"{FOCUSED}.getAttribute('aria-valuetext')"


@asynccontextmanager
async def open_call() -> AsyncIterator[Window]:
    """The dashboard at a room of one who speaks, and on the page of that one."""
    async with launch_chromium() as chromium, run_router(settings=SETTINGS) as router:
        await join(chromium, router, "Ada", camera=False)
        window = await open_dashboard(chromium, router)
        await sign_in(window, READER)
        await wait_live(window)
        await wait_for(window, f"{NAMES}.includes({json.dumps(ROOM)})", "the room")
        await window.page.click(".row-link:has-text('weekly')")
        await wait_for(window, f"{NAMES}.includes('Ada')", "Ada")
        await window.page.click(".row-link:has-text('Ada')")
        await wait_for(window, "document.querySelectorAll('.plot').length > 0", "charts")
        yield window


async def go(window: Window, place: str) -> None:
    await window.evaluate(f"location.hash = {json.dumps(place)}")
    await wait_live(window)
    await wait_for(window, f"document.querySelector('h1') && location.hash === {json.dumps(place)}", "the view")
    await wait_for(window, "document.querySelector('tbody tr')", "rows")


async def check_view(window: Window, place: str) -> None:
    tables = await window.evaluate(TABLES)
    assert tables, place
    for table in tables:
        assert table["named"]
        assert set(table["rows"]) <= {table["heads"]}, (place, table)
        assert set(table["row_heads"]) <= {1}, (place, table)
    levels = await window.evaluate(HEADINGS)
    assert levels.count(1) == 1, (place, levels)
    assert all(after - before <= 1 for before, after in pairwise(levels)), (place, levels)
    for scheme in ("light", "dark"):
        await window.page.emulate_media(color_scheme=scheme)
        assert await window.evaluate(TEXTS) == [], (place, scheme)


@pytest.mark.browser
@pytest.mark.timeout(120)
async def test_every_view_is_readable_named_and_fits() -> None:
    async with open_call() as window:
        person = await window.evaluate("location.hash")
        for place in VIEWS:
            await go(window, place or person)
            for width in (1280, 320):
                await window.page.set_viewport_size({"width": width, "height": 900})
                await check_view(window, place or person)
                assert await window.evaluate("document.documentElement.scrollWidth") <= width, (place, width)
        await window.page.emulate_media(reduced_motion="reduce")
        assert await window.evaluate("getComputedStyle(document.getElementById('view')).transitionDuration") == "0s"


@pytest.mark.browser
@pytest.mark.timeout(120)
async def test_everything_can_be_reached_and_read_by_key() -> None:
    async with open_call() as window:
        keyboard, place = window.page.keyboard, await window.evaluate("location.hash")
        await window.page.reload()
        await wait_for(window, "document.querySelector('.plot')?.getAttribute('aria-valuenow') === '0'", "figures")
        await wait_for(window, "document.querySelector('.feed li')", "events")
        await keyboard.press("Tab")
        await keyboard.press("Enter")
        assert await window.evaluate(f"[{FOCUSED}.id, location.hash]") == ["view", place], "the skip link"
        seen = set()
        for _ in range(40):
            await keyboard.press("Tab")
            if await window.evaluate(f"{FOCUSED} === document.body"):
                break
            assert await window.evaluate(OUTLINED), await window.evaluate(f"{FOCUSED}.outerHTML.slice(0, 200)")
            seen.add(await window.evaluate(f"{FOCUSED}.getAttribute('aria-label') ?? {FOCUSED}.textContent"))
        assert {"Round trip", "Save as page", "Events, newest first"} <= seen
        await window.page.focus(".plot")
        assert (await window.evaluate(VALUE)).startswith("now: carries")
        await keyboard.press("ArrowLeft")
        assert (await window.evaluate(VALUE)).startswith("1 s before now: carries")
        await keyboard.press("End")
        assert (await window.evaluate(VALUE)).startswith("now: ")
