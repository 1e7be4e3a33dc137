#!/usr/bin/env python3
"""Draws the pictures of the arena: `assets/arena/*.png`. Needs nothing but Python.

    assets/generate.py            draws them
    assets/generate.py --check    sees that the files hold what would be drawn
"""

import math
import pathlib
import struct
import sys
import zlib

FOLDER = pathlib.Path(__file__).resolve().parent / "arena"

# Pixels of a side of a sprite, and samples along a side of a pixel.
SIDE = 64
SAMPLES = 4

# A letter is 5 pixels wide and 7 high, and 2 more where it hangs below the line; a column and a row are left between two.
LETTER = (6, 10)
LETTERS_IN_A_ROW = 16


def png(width, height, pixels):
    """The bytes of a picture; `pixels` are rows of (red, green, blue, alpha)."""

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
    """What is drawn in a picture that `png` wrote, whichever zlib compressed it."""
    chunks, at = {}, 8
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        chunks.setdefault(data[at + 4 : at + 8], data[at + 8 : at + 8 + length])
        at += length + 12
    return chunks[b"IHDR"], zlib.decompress(chunks[b"IDAT"])


# Shapes say how far a point is from them, in sides of a sprite: below 0 it is inside. The middle is the origin, and up is up.


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
    """Seen from above, looking to the right. Light, so that it takes any colour."""
    if disc(x, y, 0.0, 0.0, 0.17) < 0:
        shine = disc(x, y, -0.03, 0.05, 0.07) < 0
        return (255, 255, 255, 255) if shine else (226, 228, 232, 255)
    if disc(x, y, 0.0, 0.0, 0.20) < 0:
        return DARK
    for hand in (0.17, -0.17):
        if disc(x, y, 0.20, hand * 0.72, 0.065) < 0:
            return (255, 255, 255, 255)
        if disc(x, y, 0.20, hand * 0.72, 0.095) < 0:
            return DARK
    if box(x, y, 0.29, 0.0, 0.15, 0.045, 0.02) < 0:
        return (92, 98, 110, 255)
    if box(x, y, 0.29, 0.0, 0.18, 0.075, 0.03) < 0:
        return DARK
    if disc(x, y, -0.02, 0.0, 0.33) < 0:
        lit = 0.80 + 0.35 * (y - x * 0.4)
        light = max(150, min(236, int(236 * lit)))
        return (light, light, light, 255)
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
    near = stroke(x, y, -0.34, 0.0, 0.30, 0.0, 0.0)
    # Its tail is thinner than its head.
    width = 0.05 + 0.09 * (x + 0.4)
    if near < width * 0.6:
        return (255, 255, 240, 255)
    if near < width:
        return (255, 196, 96, 255)
    glow = max(0.0, 1.0 - (near - width) / 0.12)
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


def sampled(shape, column, row):
    """The mean of a pixel's samples."""
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
    return (*(round(part / total[3]) for part in total[:3]), round(total[3] / SAMPLES**2))


def sprites():
    columns = 4
    rows = len(SPRITES) // columns
    pixels = [
        [
            sampled(SPRITES[row // SIDE * columns + column // SIDE], column % SIDE, row % SIDE)
            for column in range(columns * SIDE)
        ]
        for row in range(rows * SIDE)
    ]
    return png(columns * SIDE, rows * SIDE, pixels)


def floor():
    """A tile, which fits to itself on all sides."""

    def pixel(column, row):
        if column in (0, SIDE - 1) or row in (0, SIDE - 1):
            return (31, 36, 46, 255)
        light = (column // (SIDE // 2) + row // (SIDE // 2)) % 2
        # A little dust, the same every time.
        dust = ((column * 73 + row * 151 + column * row * 31) % 97) // 24
        return (37 + 3 * light + dust, 43 + 3 * light + dust, 54 + 3 * light + dust, 255)

    return png(SIDE, SIDE, [[pixel(column, row) for column in range(SIDE)] for row in range(SIDE)])


LETTERS = """
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


def letters():
    """The pixels of each letter, by its character."""
    found = {" ": []}
    for block in LETTERS.strip("\n").split("\n\n"):
        names, *rows = [line.split(" ") for line in block.split("\n")]
        for row in rows:
            if len(row) != len(names) or any(len(part) != LETTER[0] - 1 for part in row):
                raise ValueError(f"a row of `{' '.join(names)}` is not as long as the others: {row}")
        for place, name in enumerate(names):
            found[name] = [row[place] for row in rows]
    missing = [chr(code) for code in range(32, 127) if chr(code) not in found]
    if missing or len(found) != 95:
        raise ValueError(f"letters are missing: {missing}")
    return found


def font():
    """Letters of ASCII from the space on, white, in cells of one size."""
    width, height = LETTER[0] * LETTERS_IN_A_ROW, LETTER[1] * 6
    pixels = [[(255, 255, 255, 0)] * width for _ in range(height)]
    for name, rows in letters().items():
        down, right = divmod(ord(name) - 32, LETTERS_IN_A_ROW)
        for row, line in enumerate(rows):
            for column, mark in enumerate(line):
                if mark == "#":
                    pixels[down * LETTER[1] + row][right * LETTER[0] + column] = (255, 255, 255, 255)
    return png(width, height, pixels)


def main():
    check = sys.argv[1:] == ["--check"]
    if sys.argv[1:] and not check:
        sys.exit(__doc__.strip())
    for name, picture in (("sprites", sprites()), ("floor", floor()), ("font", font())):
        path = FOLDER / f"{name}.png"
        if not check:
            FOLDER.mkdir(exist_ok=True)
            path.write_bytes(picture)
        elif not path.is_file() or unpack(path.read_bytes()) != unpack(picture):
            sys.exit(f"`{path}` is not what would be drawn: run `assets/generate.py`")


if __name__ == "__main__":
    main()
