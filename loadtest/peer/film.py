"""A short VP8 film of stamped pictures that browsers can decode, encoded once with PyAV's libvpx and then repeated.

The picture is that of tests/e2e/stamp.js: eight columns and four rows of blocks, which spell the sender, a counter
and their exclusive or. Only the first frame is a key frame; a camera starts over when it is asked for one.
"""

from collections.abc import Iterator
from fractions import Fraction
from functools import cache

from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

WIDTH, HEIGHT, FRAMES_PER_SECOND = 384, 216, 30
COLUMNS, ROWS = 8, 4
DARK, LIGHT, GREY = b"\x18", b"\xe8", b"\x80"
OPTIONS = {
    "deadline": "realtime",
    "cpu-used": "8",
    "lag-in-frames": "0",
    "auto-alt-ref": "0",
    "error-resilient": "1",
}


@cache
def render_film(sender: int, frames: int = 90) -> tuple[bytes, ...]:
    """One VP8 frame a picture; `sender` fits into a byte."""
    encoder = VideoCodecContext.create("libvpx", "w")
    encoder.width, encoder.height, encoder.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, FRAMES_PER_SECOND), Fraction(FRAMES_PER_SECOND)
    encoder.bit_rate, encoder.gop_size, encoder.options = 200_000, 1 << 20, OPTIONS
    return tuple(bytes(packet) for picture in _draw(sender, frames) for packet in encoder.encode(picture))


def _draw(sender: int, frames: int) -> Iterator[VideoFrame]:
    for number in range(frames):
        picture = VideoFrame(WIDTH, HEIGHT, "yuv420p")
        luma, *chroma = picture.planes
        rows = (sender, number >> 8, number & 255, sender ^ (number >> 8) ^ (number & 255))
        luma.update(b"".join(_draw_row(byte, luma.line_size) * (HEIGHT // ROWS) for byte in rows))
        for plane in chroma:
            plane.update(GREY * plane.buffer_size)
        picture.pts = number
        yield picture


def _draw_row(byte: int, line_bytes: int) -> bytes:
    blocks = (LIGHT if byte >> (COLUMNS - 1 - bit) & 1 else DARK for bit in range(COLUMNS))
    return b"".join(block * (WIDTH // COLUMNS) for block in blocks).ljust(line_bytes, b"\0")
