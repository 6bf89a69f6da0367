"""Lines and images as the page draws them: coordinates of SVG, and PNG files in the text of the page."""

import base64
import itertools
import math
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 100, 100  # of a chart's own units; it is stretched to its place
COLOURS = 33  # of a template: odd, so that one of them is for zero


@dataclass(frozen=True)
class Axes:
    """Values from low to high upwards, on a logarithmic scale if is_log, over places on one that has 0 as well."""

    places: Sequence[float]
    low: float
    high: float
    is_log: bool = False

    def x(self, i: int) -> float:
        """Where the i-th value stands: by log(1 + place), from the first place to the last; 0 if there is one place."""
        first, last, at = (math.log1p(self.places[j]) for j in (0, -1, i))
        return round(WIDTH * (at - first) / (last - first or 1), 2)

    def y(self, value: float) -> float:
        """How far from the top; what lies beyond an end stands there."""
        inside = min(max(value, self.low), self.high)
        low, high, at = map(math.log, (self.low, self.high, inside)) if self.is_log else (self.low, self.high, inside)
        return round(HEIGHT * (high - at) / (high - low), 2)

    def points(self, values: Sequence[float | None]) -> str:
        """A polyline of values, up to one that is none or no finite number."""
        found = []
        for i, value in enumerate(values):
            if value is None or not math.isfinite(value):
                break
            found.append(f"{self.x(i):g},{self.y(value):g}")
        return " ".join(found)


def spread(heights: Sequence[float], apart: float) -> list[float]:
    """The heights moved until each is so far from the next, in the same order and about the same middle."""
    order = sorted(range(len(heights)), key=heights.__getitem__)
    placed = list(heights)
    for _ in range(200):
        for below, above in itertools.pairwise(order):
            missing = apart - (placed[above] - placed[below])
            if missing > 0:
                placed[below] -= missing / 2
                placed[above] += missing / 2
    return placed


def template(weights: Sequence[Sequence[float]]) -> str:
    """Weights as an image: blue where they are below 0, orange above, the stronger the farther."""
    largest = max(abs(weight) for line in weights for weight in line) or 1
    half = COLOURS // 2
    rows = [bytes(half + round(weight / largest * half) for weight in line) for line in weights]
    return png(rows, [shade(i / half - 1) for i in range(COLOURS)])


def shade(value: float) -> tuple[int, int, int]:
    """The colour of a value from -1 to 1: white at 0."""
    end = (204, 78, 0) if value > 0 else (0, 90, 160)
    red, green, blue = (round(255 + (channel - 255) * abs(value)) for channel in end)
    return red, green, blue


def digit(pixels: str) -> str:
    """28 x 28 hexadecimal bytes as an image: ink on white."""
    ink = bytes.fromhex(pixels)
    return png([ink[i : i + 28] for i in range(0, len(ink), 28)], [(255 - i, 255 - i, 255 - i) for i in range(256)])


def png(rows: Sequence[bytes], palette: Sequence[tuple[int, int, int]]) -> str:
    """An image of indices into a palette, as an address that holds it. Not compressed: the same bytes everywhere."""
    header = struct.pack(">IIBBBBB", len(rows[0]), len(rows), 8, 3, 0, 0, 0)
    colours = bytes(channel for colour in palette for channel in colour)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows), 0)
    chunks = (b"IHDR", header), (b"PLTE", colours), (b"IDAT", pixels), (b"IEND", b"")
    return "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"".join(map(chunk, chunks))).decode()


def chunk(part: tuple[bytes, bytes]) -> bytes:
    """A part of a PNG file: its length, kind, content and checksum."""
    kind, content = part
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
