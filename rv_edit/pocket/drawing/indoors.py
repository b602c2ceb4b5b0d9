"""Things of the house: each function draws one kind within 4..96 units of the sheet."""

from __future__ import annotations

from rv_edit.pocket.drawing.palette import COFFEE, CREAM, DARK, FLAME, GLOW, STEEL
from rv_edit.pocket.drawing.pen import Pen, cut, join


def mug(pen: Pen) -> None:
    """A coffee mug, its handle on the right."""
    pen.part(cut(pen.oval(52, 30, 96, 78), pen.oval(63, 42, 84, 66)), 0.92)
    pen.part(join(pen.box(6, 22, 72, 92, 12), pen.oval(6, 10, 72, 36)))
    pen.solid(pen.oval(6, 10, 72, 34), CREAM)
    pen.solid(pen.oval(13, 15, 65, 32), COFFEE, outline=False)
    pen.shine(pen.box(13, 42, 18, 80, 2.5), 0.55)


def lamp(pen: Pen) -> None:
    """A table lamp: shade, thin stem, round foot."""
    pen.solid(pen.box(45, 50, 55, 84), STEEL)
    pen.part(join(pen.oval(24, 80, 76, 96), pen.oval(32, 76, 68, 90)), 0.9)
    pen.part(pen.poly([(31, 5), (69, 5), (95, 56), (5, 56)]))
    pen.solid(pen.box(5, 54, 95, 60, 3), GLOW)
    pen.shine(pen.poly([(34, 10), (40, 10), (26, 50), (17, 50)]), 0.45)


def book(pen: Pen) -> None:
    """A closed book with its pages showing below and on the right."""
    pen.part(pen.box(12, 10, 90, 95, 5), 0.62)
    pen.solid(pen.box(16, 10, 87, 90, 2), CREAM)
    pen.ink(join(*(pen.stroke([(20, y), (87, y)], 0.9) for y in (83, 86.5))), 0.4)
    pen.part(pen.box(12, 5, 80, 80, 4))
    pen.shade(pen.box(12, 5, 23, 80, 2), 0.55, 0.4)
    pen.solid(pen.box(34, 18, 70, 36, 2), CREAM)
    pen.ink(join(pen.stroke([(40, 24), (64, 24)], 2.4), pen.stroke([(44, 30), (60, 30)], 2.0)), 0.7)


def key(pen: Pen) -> None:
    """A stout key lying aslant, its bow at the upper left."""
    shaft = pen.stroke([(40, 40), (88, 88)], 15)
    teeth = join(pen.stroke([(86, 86), (94 - 22, 94)], 12), pen.stroke([(68, 68), (52, 82)], 12))
    bow = cut(pen.disc(32, 32, 28), pen.disc(29, 29, 10))
    pen.part(join(shaft, teeth, bow))
    pen.shine(pen.stroke([(11, 28), (18, 15), (30, 9)], 4, curved=True), 0.6)


def chair(pen: Pen) -> None:
    """A wooden chair seen from the front, a little from the right."""
    for x in (32, 71):
        pen.part(pen.box(x, 56, x + 10, 86, 2), 0.58)
    pen.part(cut(pen.box(18, 4, 74, 58, 6), pen.box(29, 33, 63, 43, 2)))
    pen.part(pen.poly([(18, 50), (74, 50), (90, 60), (90, 68), (10, 68), (10, 60)]), 0.95)
    pen.shade(pen.poly([(10, 62), (90, 62), (90, 68), (10, 68)]), 0.45, 0.4)
    for x in (10, 79):
        pen.part(pen.box(x, 67, x + 11, 96, 2), 0.85)
    pen.shine(pen.box(23, 9, 27, 29, 2), 0.5)


def clock(pen: Pen) -> None:
    """An alarm clock: two bells, two feet, a pale face."""
    for side in (-1, 1):
        pen.solid(pen.stroke([(50 + side * 24, 80), (50 + side * 33, 93)], 9), DARK)
        pen.part(pen.disc(50 + side * 27, 19, 15), 0.8)
    pen.solid(pen.box(46, 5, 54, 24, 3), STEEL)
    pen.part(pen.disc(50, 54, 38))
    pen.solid(pen.disc(50, 54, 22), CREAM)
    pen.ink(join(pen.stroke([(50, 54), (50, 39)], 4), pen.stroke([(50, 54), (61, 60)], 4), pen.disc(50, 54, 3)), 1.0)
    pen.shine(pen.stroke([(18, 46), (24, 34), (33, 26)], 4, curved=True), 0.55)


def candle(pen: Pen) -> None:
    """A thick burning candle on a saucer with a ring."""
    pen.part(cut(pen.disc(84, 80, 12), pen.disc(84, 80, 5)), 0.7)
    pen.part(pen.poly([(6, 78), (84, 78), (72, 95), (18, 95)]), 0.7)
    pen.part(join(pen.box(27, 44, 63, 84, 2), pen.oval(27, 38, 63, 50)))
    pen.shine(pen.oval(30, 39.5, 60, 48), 0.6, 0.5)
    pen.ink(pen.stroke([(45, 44), (45, 34)], 3), 1.0)
    pen.solid(pen.blob([(45, 3), (54, 18), (57, 27), (51, 36), (45, 37), (39, 36), (33, 27), (36, 18)]), FLAME)
    pen.solid(pen.blob([(45, 17), (50, 28), (45, 35), (40, 28)]), GLOW, outline=False)
    pen.shine(pen.box(32, 54, 36, 76, 2), 0.5)


def bottle(pen: Pen) -> None:
    """A tall bottle with sloping shoulders, a cork and a small label."""
    pen.solid(pen.box(42, 3, 58, 14, 2), CREAM)
    body = [(41, 10), (59, 10), (60, 32), (70, 42), (75, 54), (75, 90), (71, 96), (29, 96), (25, 90), (25, 54)]
    pen.part(join(pen.poly([*body, (30, 42), (40, 32)]), pen.box(38, 11, 62, 18, 2)))
    pen.solid(pen.box(37, 62, 63, 76, 2), CREAM)
    pen.shine(pen.stroke([(32, 88), (32, 54), (38, 43)], 4, curved=True), 0.6)


def drum(pen: Pen) -> None:
    """A drum with a pale skin and two crossed sticks above it."""
    pen.part(join(pen.box(6, 42, 94, 82, 1), pen.oval(6, 66, 94, 96)))
    pen.ink(pen.stroke([(8, 52), (22, 84), (36, 58), (50, 90), (64, 58), (78, 84), (92, 52)], 2.2), 0.75)
    pen.solid(pen.oval(4, 26, 96, 58), CREAM)
    pen.shade(cut(pen.oval(6, 28, 94, 56), pen.oval(10, 30, 90, 53)), 0.35, 0.4)
    for far, near in ((12, 66), (88, 34)):
        pen.solid(pen.stroke([(far, 10), (near, 44)], 6), (214, 160, 104))
        pen.solid(pen.disc(near, 44, 5.5), (240, 200, 150))


def bell(pen: Pen) -> None:
    """A hand bell without a handle: loop, flared dome, clapper."""
    pen.part(cut(pen.disc(50, 14, 11), pen.disc(50, 14, 4.5)), 0.8)
    pen.solid(pen.disc(50, 87, 9), DARK)
    dome = [(50, 20), (64, 23), (73, 34), (77, 54), (82, 68), (95, 78), (92, 84), (50, 85), (8, 84), (5, 78)]
    pen.part(pen.blob([*dome, (18, 68), (23, 54), (27, 34), (36, 23)]))
    pen.shade(pen.stroke([(8, 78), (30, 74), (50, 73), (70, 74), (92, 78)], 3, curved=True), 0.6, 0.3)
    pen.shine(pen.stroke([(32, 58), (35, 42), (42, 31)], 5, curved=True), 0.6)
