"""A short VP8 film of stamped pictures that browsers can decode, encoded once with PyAV's libvpx and then repeated.

The picture is that of tests/e2e/stamp.js: eight columns and four rows of blocks, which spell the sender, a counter
and their exclusive or. Only the first frame is a key frame; a camera starts over when it is asked for one.
"""

import random
from collections.abc import Iterator
from fractions import Fraction
from functools import cache

from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

WIDTH, HEIGHT, FRAMES_PER_SECOND = 384, 216, 30
COLUMNS, ROWS = 8, 4
DARK, LIGHT, GREY = b"\x18", b"\xe8", b"\x80"
NOISE = 24
"""How far the colours of a noisy film are from grey at most: no block gets another brightness by it."""
OPTIONS = {
    "deadline": "realtime",
    "cpu-used": "8",
    "lag-in-frames": "0",
    "auto-alt-ref": "0",
    "error-resilient": "1",
}


@cache
def render_film(sender: int, frames: int = 90, *, bits_per_second: int = 200_000) -> tuple[bytes, ...]:
    """One VP8 frame a picture; `sender` fits into a byte. Noise makes the frames large enough for a higher rate."""
    encoder = VideoCodecContext.create("libvpx", "w")
    encoder.width, encoder.height, encoder.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, FRAMES_PER_SECOND), Fraction(FRAMES_PER_SECOND)
    encoder.bit_rate, encoder.gop_size, encoder.options = bits_per_second, 1 << 20, OPTIONS
    noisy = bits_per_second > 200_000
    return tuple(bytes(packet) for picture in _draw(sender, frames, noisy) for packet in encoder.encode(picture))


def _draw(sender: int, frames: int, noisy: bool) -> Iterator[VideoFrame]:
    dice = random.Random(sender)
    colours = bytes(0x80 - NOISE + number % (2 * NOISE) for number in range(256))
    for number in range(frames):
        picture = VideoFrame(WIDTH, HEIGHT, "yuv420p")
        luma, *chroma = picture.planes
        rows = (sender, number >> 8, number & 255, sender ^ (number >> 8) ^ (number & 255))
        luma.update(b"".join(_draw_row(byte, luma.line_size) * (HEIGHT // ROWS) for byte in rows))
        for plane in chroma:
            size = plane.buffer_size
            plane.update(dice.randbytes(size).translate(colours) if noisy else GREY * size)
        picture.pts = number
        yield picture


def _draw_row(byte: int, line_bytes: int) -> bytes:
    blocks = (LIGHT if byte >> (COLUMNS - 1 - bit) & 1 else DARK for bit in range(COLUMNS))
    return b"".join(block * (WIDTH // COLUMNS) for block in blocks).ljust(line_bytes, b"\0")
