#!/usr/bin/env python3
"""Generates the textures of the arena, `assets/arena/*.png`, with the standard library of Python alone.

    assets/generate.py            writes the files
    assets/generate.py --check    fails if a file differs from what would be written
"""

import math
import pathlib
import struct
import sys
import zlib

FOLDER = pathlib.Path(__file__).resolve().parent / "arena"

# The side length of a sprite, in pixels.
SIDE = 64
# Antialiasing samples along each side of a pixel.
SAMPLES = 4

# The cell of a glyph in pixels: 5 wide, 7 above and 2 below the baseline, and an empty column and row to separate it from the next.
GLYPH_CELL = (6, 10)
GLYPHS_PER_ROW = 16


def png(width, height, pixels):
    """The bytes of a PNG file; `pixels` are rows of (red, green, blue, alpha)."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = b"".join(b"\0" + bytes(channel for pixel in row for channel in pixel) for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows, 9))
        + chunk(b"IEND", b"")
    )


def unpack(data):
    """The header and the decompressed pixels of a file that `png` wrote: equal for equal images with any version of zlib."""
    chunks, offset = {}, 8
    while offset < len(data):
        (length,) = struct.unpack(">I", data[offset : offset + 4])
        chunks.setdefault(data[offset + 4 : offset + 8], data[offset + 8 : offset + 8 + length])
        offset += length + 12
    return chunks[b"IHDR"], zlib.decompress(chunks[b"IDAT"])


# Signed distance functions, in units of a sprite's side: negative inside the shape. The origin is the centre, and y points up.


def disc(x, y, cx, cy, radius):
    return math.hypot(x - cx, y - cy) - radius


def box(x, y, cx, cy, half_width, half_height, corner=0.0):
    dx = max(abs(x - cx) - half_width + corner, 0.0)
    dy = max(abs(y - cy) - half_height + corner, 0.0)
    return math.hypot(dx, dy) - corner if dx or dy else max(abs(x - cx) - half_width, abs(y - cy) - half_height)


def stroke(x, y, ax, ay, bx, by, width):
    length = (bx - ax) ** 2 + (by - ay) ** 2
    along = max(0.0, min(1.0, ((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / length))
    return math.hypot(x - ax - along * (bx - ax), y - ay - along * (by - ay)) - width


DARK = (22, 26, 34, 255)


def fighter(x, y):
    """A fighter seen from above, facing right. Light grey, so that it can be tinted with any colour."""
    if disc(x, y, 0.0, 0.0, 0.17) < 0:
        shine = disc(x, y, -0.03, 0.05, 0.07) < 0
        return (255, 255, 255, 255) if shine else (226, 228, 232, 255)
    if disc(x, y, 0.0, 0.0, 0.20) < 0:
        return DARK
    for side in (0.17, -0.17):
        if disc(x, y, 0.20, side * 0.72, 0.065) < 0:
            return (255, 255, 255, 255)
        if disc(x, y, 0.20, side * 0.72, 0.095) < 0:
            return DARK
    if box(x, y, 0.29, 0.0, 0.15, 0.045, 0.02) < 0:
        return (92, 98, 110, 255)
    if box(x, y, 0.29, 0.0, 0.18, 0.075, 0.03) < 0:
        return DARK
    if disc(x, y, -0.02, 0.0, 0.33) < 0:
        shade = 0.80 + 0.35 * (y - x * 0.4)
        grey = max(150, min(236, int(236 * shade)))
        return (grey, grey, grey, 255)
    if disc(x, y, -0.02, 0.0, 0.375) < 0:
        return DARK
    return None


def corpse(x, y):
    if disc(x, y, 0.0, 0.0, 0.30) < 0:
        cross = min(
            stroke(x, y, -0.13, -0.13, 0.13, 0.13, 0.035),
            stroke(x, y, -0.13, 0.13, 0.13, -0.13, 0.035),
        )
        return DARK if cross < 0 else (150, 152, 158, 200)
    if disc(x, y, 0.0, 0.0, 0.34) < 0:
        return (22, 26, 34, 200)
    return None


def coin(x, y):
    if disc(x, y, 0.0, 0.0, 0.24) < 0:
        if box(x, y, 0.0, 0.0, 0.045, 0.13, 0.02) < 0:
            return (176, 122, 0, 255)
        shine = disc(x, y, -0.10, 0.11, 0.05) < 0
        return (255, 248, 205, 255) if shine else (255, 206, 60, 255)
    if disc(x, y, 0.0, 0.0, 0.30) < 0:
        return (214, 154, 10, 255)
    if disc(x, y, 0.0, 0.0, 0.345) < 0:
        return DARK
    return None


def bullet(x, y):
    distance = stroke(x, y, -0.34, 0.0, 0.30, 0.0, 0.0)
    # The tail is thinner than the head.
    width = 0.05 + 0.09 * (x + 0.4)
    if distance < width * 0.6:
        return (255, 255, 240, 255)
    if distance < width:
        return (255, 196, 96, 255)
    glow = max(0.0, 1.0 - (distance - width) / 0.12)
    return (255, 150, 40, int(120 * glow * glow)) if glow > 0 else None


def ring(x, y):
    return (255, 255, 255, 255) if abs(math.hypot(x, y) - 0.44) < 0.022 else None


def shadow(x, y):
    fade = max(0.0, 1.0 - math.hypot(x, y) / 0.46)
    return (0, 0, 0, int(150 * min(1.0, 1.6 * fade))) if fade > 0 else None


def crosshair(x, y):
    distance = math.hypot(x, y)
    if abs(distance - 0.27) < 0.045 or distance < 0.05:
        return (255, 255, 255, 255)
    arms = min(
        box(abs(x), y, 0.34, 0.0, 0.11, 0.04),
        box(x, abs(y), 0.0, 0.34, 0.04, 0.11),
    )
    return (255, 255, 255, 255) if arms < 0 else None


def skull(x, y):
    eyes = min(disc(abs(x), y, 0.14, 0.03, 0.085), stroke(x, y, 0.0, -0.10, 0.0, -0.13, 0.03))
    teeth = box(abs(x), y, 0.065, -0.30, 0.018, 0.08)
    head = min(disc(x, y, 0.0, 0.08, 0.33), box(x, y, 0.0, -0.25, 0.20, 0.14, 0.05))
    return (255, 255, 255, 255) if head < 0 < min(eyes, teeth) else None


SPRITES = [fighter, corpse, coin, bullet, ring, shadow, crosshair, skull]


def sample_pixel(shape, column, row):
    """The mean colour of a pixel's samples, weighted by alpha."""
    total = [0.0] * 4
    for sample in range(SAMPLES * SAMPLES):
        x = (column + (sample % SAMPLES + 0.5) / SAMPLES) / SIDE - 0.5
        y = 0.5 - (row + (sample // SAMPLES + 0.5) / SAMPLES) / SIDE
        colour = shape(x, y)
        if colour:
            for channel in range(3):
                total[channel] += colour[channel] * colour[3]
            total[3] += colour[3]
    if total[3] == 0:
        return (0, 0, 0, 0)
    return (*(round(channel / total[3]) for channel in total[:3]), round(total[3] / SAMPLES**2))


def sprites():
    columns = 4
    rows = len(SPRITES) // columns
    pixels = [
        [
            sample_pixel(SPRITES[row // SIDE * columns + column // SIDE], column % SIDE, row % SIDE)
            for column in range(columns * SIDE)
        ]
        for row in range(rows * SIDE)
    ]
    return png(columns * SIDE, rows * SIDE, pixels)


def floor():
    """A tile that repeats seamlessly on all sides."""

    def pixel(column, row):
        if column in (0, SIDE - 1) or row in (0, SIDE - 1):
            return (31, 36, 46, 255)
        checker = (column // (SIDE // 2) + row // (SIDE // 2)) % 2
        # Deterministic noise.
        noise = ((column * 73 + row * 151 + column * row * 31) % 97) // 24
        return (37 + 3 * checker + noise, 43 + 3 * checker + noise, 54 + 3 * checker + noise, 255)

    return png(SIDE, SIDE, [[pixel(column, row) for column in range(SIDE)] for row in range(SIDE)])


GLYPHS = """
! " # $ % & ' (
..#.. .#.#. .#.#. ..#.. ##..# .##.. ..#.. ...#.
..#.. .#.#. .#.#. .#### ##..# #..#. ..#.. ..#..
..#.. ..... ##### #.#.. ...#. #.#.. ..... ..#..
..#.. ..... .#.#. .###. ..#.. .#... ..... ..#..
..#.. ..... ##### ..#.# .#... #.#.# ..... ..#..
..... ..... .#.#. ####. #..## #..#. ..... ..#..
..#.. ..... .#.#. ..#.. #..## .##.# ..... ...#.

) * + , - . / 0
.#... ..... ..... ..... ..... ..... ....# .###.
..#.. ..#.. ..#.. ..... ..... ..... ....# #...#
..#.. #.#.# ..#.. ..... ..... ..... ...#. #..##
..#.. .###. ##### ..... ##### ..... ..#.. #.#.#
..#.. #.#.# ..#.. ..... ..... ..... .#... ##..#
..#.. ..#.. ..#.. ..#.. ..... .##.. #.... #...#
.#... ..... ..... ..#.. ..... .##.. #.... .###.
..... ..... ..... .#... ..... ..... ..... .....

1 2 3 4 5 6 7 8
..#.. .###. .###. ...#. ##### ..##. ##### .###.
.##.. #...# #...# ..##. #.... .#... ....# #...#
..#.. ....# ....# .#.#. ####. #.... ...#. #...#
..#.. ...#. ..##. #..#. ....# ####. ..#.. .###.
..#.. ..#.. ....# ##### ....# #...# .#... #...#
..#.. .#... #...# ...#. #...# #...# .#... #...#
.###. ##### .###. ...#. .###. .###. .#... .###.

9 : ; < = > ? @
.###. ..... ..... ...#. ..... .#... .###. .###.
#...# .##.. .##.. ..#.. ..... ..#.. #...# #...#
#...# .##.. .##.. .#... ##### ...#. ....# #.###
.#### ..... ..... #.... ..... ....# ...#. #.#.#
....# ..... ..... .#... ##### ...#. ..#.. #.###
...#. .##.. .##.. ..#.. ..... ..#.. ..... #....
.##.. .##.. ..#.. ...#. ..... .#... ..#.. .###.
..... ..... .#... ..... ..... ..... ..... .....

A B C D E F G H
.###. ####. .###. ####. ##### ##### .###. #...#
#...# #...# #...# #...# #.... #.... #...# #...#
#...# #...# #.... #...# #.... #.... #.... #...#
##### ####. #.... #...# ####. ####. #.### #####
#...# #...# #.... #...# #.... #.... #...# #...#
#...# #...# #...# #...# #.... #.... #...# #...#
#...# ####. .###. ####. ##### #.... .###. #...#

I J K L M N O P
.###. ..### #...# #.... #...# #...# .###. ####.
..#.. ...#. #..#. #.... ##.## ##..# #...# #...#
..#.. ...#. #.#.. #.... #.#.# ##..# #...# #...#
..#.. ...#. ##... #.... #.#.# #.#.# #...# ####.
..#.. ...#. #.#.. #.... #...# #..## #...# #....
..#.. #..#. #..#. #.... #...# #..## #...# #....
.###. .##.. #...# ##### #...# #...# .###. #....

Q R S T U V W X
.###. ####. .###. ##### #...# #...# #...# #...#
#...# #...# #...# ..#.. #...# #...# #...# #...#
#...# #...# #.... ..#.. #...# #...# #...# .#.#.
#...# ####. .###. ..#.. #...# #...# #.#.# ..#..
#.#.# #.#.. ....# ..#.. #...# .#.#. #.#.# .#.#.
#..#. #..#. #...# ..#.. #...# .#.#. ##.## #...#
.##.# #...# .###. ..#.. .###. ..#.. #...# #...#

Y Z [ \\ ] ^ _ `
#...# ##### .###. #.... .###. ..#.. ..... .#...
#...# ....# .#... #.... ...#. .#.#. ..... ..#..
#...# ...#. .#... .#... ...#. #...# ..... .....
.#.#. ..#.. .#... ..#.. ...#. ..... ..... .....
..#.. .#... .#... ...#. ...#. ..... ..... .....
..#.. #.... .#... ....# ...#. ..... ..... .....
..#.. ##### .###. ....# .###. ..... ##### .....

a b c d e f g h
..... #.... ..... ....# ..... ..##. ..... #....
..... #.... ..... ....# ..... .#... ..... #....
.###. ####. .###. .#### .###. ####. .#### ####.
....# #...# #.... #...# #...# .#... #...# #...#
.#### #...# #.... #...# ##### .#... #...# #...#
#...# #...# #.... #...# #.... .#... #...# #...#
.#### ####. .###. .#### .###. .#... .#### #...#
..... ..... ..... ..... ..... ..... ....# .....
..... ..... ..... ..... ..... ..... .###. .....

i j k l m n o p
..#.. ...#. #.... .##.. ..... ..... ..... .....
..... ..... #.... ..#.. ..... ..... ..... .....
.##.. ..##. #..#. ..#.. ##.#. ####. .###. ####.
..#.. ...#. #.#.. ..#.. #.#.# #...# #...# #...#
..#.. ...#. ##... ..#.. #.#.# #...# #...# #...#
..#.. ...#. #.#.. ..#.. #.#.# #...# #...# #...#
.###. ...#. #..#. .###. #.#.# #...# .###. ####.
..... ...#. ..... ..... ..... ..... ..... #....
..... .##.. ..... ..... ..... ..... ..... #....

q r s t u v w x
..... ..... ..... .#... ..... ..... ..... .....
..... ..... ..... .#... ..... ..... ..... .....
.#### #.##. .#### ####. #...# #...# #...# #...#
#...# ##... #.... .#... #...# #...# #.#.# .#.#.
#...# #.... .###. .#... #...# #...# #.#.# ..#..
#...# #.... ....# .#... #...# .#.#. #.#.# .#.#.
.#### #.... ####. ..##. .#### ..#.. .#.#. #...#
....# ..... ..... ..... ..... ..... ..... .....
....# ..... ..... ..... ..... ..... ..... .....

y z { | } ~
..... ..... ...#. ..#.. .#... .....
..... ..... ..#.. ..#.. ..#.. .....
#...# ##### ..#.. ..#.. ..#.. .#...
#...# ...#. .#... ..#.. ...#. #.#.#
#...# ..#.. ..#.. ..#.. ..#.. ...#.
#...# .#... ..#.. ..#.. ..#.. .....
.#### ##### ...#. ..#.. .#... .....
....# ..... ..... ..... ..... .....
.###. ..... ..... ..... ..... .....
"""


def glyphs():
    """The rows of pixels of each glyph, by its character."""
    found = {" ": []}
    for block in GLYPHS.strip("\n").split("\n\n"):
        names, *rows = [line.split(" ") for line in block.split("\n")]
        for row in rows:
            if len(row) != len(names) or any(len(line) != GLYPH_CELL[0] - 1 for line in row):
                raise ValueError(f"a row of glyphs `{' '.join(names)}` has a wrong length: {row}")
        for index, name in enumerate(names):
            found[name] = [row[index] for row in rows]
    missing = [chr(code) for code in range(32, 127) if chr(code) not in found]
    if missing or len(found) != 95:
        raise ValueError(f"glyphs are missing: {missing}")
    return found


def font():
    """The printable ASCII characters from the space on, white, in cells of one size."""
    width, height = GLYPH_CELL[0] * GLYPHS_PER_ROW, GLYPH_CELL[1] * 6
    pixels = [[(255, 255, 255, 0)] * width for _ in range(height)]
    for name, rows in glyphs().items():
        cell_row, cell_column = divmod(ord(name) - 32, GLYPHS_PER_ROW)
        for row, line in enumerate(rows):
            for column, mark in enumerate(line):
                if mark == "#":
                    pixels[cell_row * GLYPH_CELL[1] + row][cell_column * GLYPH_CELL[0] + column] = (255, 255, 255, 255)
    return png(width, height, pixels)


def main():
    check = sys.argv[1:] == ["--check"]
    if sys.argv[1:] and not check:
        sys.exit(__doc__.strip())
    for name, image in (("sprites", sprites()), ("floor", floor()), ("font", font())):
        path = FOLDER / f"{name}.png"
        if not check:
            FOLDER.mkdir(exist_ok=True)
            path.write_bytes(image)
        elif not path.is_file() or unpack(path.read_bytes()) != unpack(image):
            sys.exit(f"`{path}` is out of date: run `assets/generate.py`")


if __name__ == "__main__":
    main()
