"""A slot's layers switched 200 times a minute, for some seconds of each codec and way of layering.

The minute-long version, with figures, is `python -m loadtest.bench_links switching`.
"""

import pytest

from loadtest.links.camera import CAMERAS, Camera
from loadtest.links.stage import missing
from loadtest.links.switching import run_switching

SECONDS = 5.0
MAX_GAP_MS = 1000
"""Twice what a quiet machine must keep: encoder and decoder share two cores with other tests here."""
MAX_UNDECODED = 10
"""Those still in the decoder when the figures are read."""
SMEARS = ("VP9",)
"""libvpx leaves blocks of the picture before in the highest temporal layer, also from one page to itself (measured)."""

pytestmark = pytest.mark.skipif(missing() is not None, reason=missing() or "")


BRIEF = ("VP8 simulcast", "H264 simulcast", "AV1 simulcast", "VP9 L2T3_KEY")
"""All of them take a minute and a half; CI has one of each codec."""
CASES = [
    pytest.param(camera, id=camera.name, marks=() if camera.name in BRIEF else pytest.mark.soak) for camera in CAMERAS
]


@pytest.mark.browser
@pytest.mark.timeout(150)
@pytest.mark.parametrize("camera", CASES)
async def test_layers_are_switched(camera: Camera) -> None:
    result = await run_switching(camera, SECONDS)
    print(result)
    if result.skipped:
        pytest.skip(result.skipped)
    assert len(result.heights) > 1, "the wishes changed nothing"
    assert result.longest_gap_ms < MAX_GAP_MS
    assert result.undecoded <= MAX_UNDECODED
    assert result.plis == 0, "the decoder lost its way"
    assert result.torn == 0 or camera.codec in SMEARS
