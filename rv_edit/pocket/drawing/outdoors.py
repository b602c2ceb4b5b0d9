"""Things worn, played with or taken outside: each function draws one kind within 4..96 units of the sheet."""

from __future__ import annotations

from rv_edit.pocket.drawing.palette import CREAM, DARK, GLASS, STEEL, WOOD
from rv_edit.pocket.drawing.pen import Pen, cut, join, meet


def ball(pen: Pen) -> None:
    """A round ball with two seams and a gleam."""
    whole = pen.disc(50, 50, 45)
    pen.part(whole)
    pen.shade(cut(whole, pen.disc(42, 42, 46)), 0.45, 2.5)
    pen.shine(pen.oval(22, 18, 46, 36), 0.75, 2.5)


def umbrella(pen: Pen) -> None:
    """An open umbrella: scalloped canopy, stick and crook."""
    stick = [(50, 8), (50, 82), (54, 91), (62, 93), (68, 87), (68, 80)]
    pen.solid(pen.stroke(stick[:2], 5), WOOD)
    pen.solid(pen.stroke(stick[1:], 6, curved=True), WOOD)
    dome = pen.oval(4, 9, 96, 105)
    scallops = [pen.oval(4 + 23 * i, 48, 27 + 23 * i, 70) for i in range(4)]
    canopy = cut(meet(dome, pen.box(0, 0, 100, 59)), *scallops)
    pen.part(canopy)
    for x, bend in ((27, 34), (50, 50), (73, 66)):
        pen.ink(meet(pen.stroke([(x, 60), (bend, 30), (50, 10)], 1.8, curved=True), canopy), 0.6)
    pen.solid(pen.box(47.5, 3, 52.5, 12, 2), WOOD)
    pen.shine(pen.stroke([(15, 42), (22, 29), (34, 19)], 5, curved=True), 0.5)


def hat(pen: Pen) -> None:
    """A hat with a wide brim and a dark band."""
    pen.part(pen.oval(3, 58, 97, 88), 0.9)
    top = [(25, 50), (28, 24), (38, 14), (50, 18), (62, 14), (72, 24), (75, 50)]
    crown = pen.blob([(24, 74), *top, (76, 74), (50, 80)])
    pen.part(crown)
    pen.ink(meet(crown, pen.blob([(20, 58), (50, 64), (80, 58), (80, 74), (50, 80), (20, 74)])), 0.9)
    pen.shine(pen.stroke([(32, 48), (33, 34), (36, 24)], 5, curved=True), 0.5)


def boot(pen: Pen) -> None:
    """A rubber boot, its toe to the right."""
    leg = [(20, 8), (58, 8), (58, 48), (66, 58), (84, 62), (94, 74), (94, 88), (20, 88), (18, 70), (22, 50)]
    pen.part(join(pen.poly(leg), pen.oval(70, 60, 95, 90)))
    pen.solid(join(pen.box(16, 85, 97, 93, 3), pen.box(16, 85, 42, 97, 2)), DARK)
    pen.part(pen.box(15, 4, 63, 18, 5), 1.12)
    pen.shine(pen.stroke([(27, 26), (28, 50)], 5), 0.5)
    pen.shine(pen.stroke([(70, 66), (82, 70)], 4), 0.5)


def kite(pen: Pen) -> None:
    """A diamond kite with a knotted tail."""
    tail = [(46, 74), (50, 84), (60, 90), (72, 90), (84, 85), (93, 88)]
    pen.ink(pen.stroke(tail, 2.6, curved=True), 1.0)
    pen.solid(pen.stroke(tail, 1.4, curved=True), DARK, outline=False)
    for x, y in ((64, 91), (86, 85)):
        pen.part(pen.poly([(x - 8, y - 7), (x, y), (x - 8, y + 5)]), 0.8)
        pen.part(pen.poly([(x + 8, y - 6), (x, y), (x + 8, y + 6)]), 0.8)
    pen.part(pen.poly([(48, 3), (92, 36), (46, 80), (4, 36)]))
    pen.ink(join(pen.stroke([(48, 4), (46, 79)], 2.4), pen.stroke([(6, 36), (90, 36)], 2.4)), 0.75)
    pen.shine(pen.poly([(43, 12), (43, 30), (19, 32)]), 0.3, 1.5)


def boat(pen: Pen) -> None:
    """A sailing boat: two sails above a hull."""
    pen.solid(pen.box(45, 4, 50, 74), WOOD)
    pen.part(pen.poly([(53, 6), (90, 62), (53, 62)]))
    pen.part(pen.poly([(42, 16), (42, 62), (12, 62)]), 1.04)
    pen.part(pen.poly([(4, 68), (96, 68), (80, 94), (22, 94)]), 0.72)
    pen.solid(pen.box(3, 66, 97, 73, 2), CREAM)


def guitar(pen: Pen) -> None:
    """A guitar aslant, its neck to the upper right."""
    pen.part(pen.stroke([(86, 14), (91, 9)], 15), 0.7)
    pen.solid(pen.stroke([(46, 54), (85, 15)], 9), WOOD)
    lower, upper = pen.disc(31, 69, 27), pen.disc(53, 47, 19)
    waist = pen.poly([(24, 46), (42, 36), (64, 58), (54, 76)])
    pen.part(join(lower, upper, waist))
    pen.solid(pen.stroke([(55, 45), (85, 15)], 7), WOOD)
    pen.solid(pen.disc(46, 54, 10), DARK)
    pen.ink(pen.stroke([(20, 66), (34, 80)], 5), 1.0)
    pen.ink(pen.stroke([(27, 73), (84, 16)], 1.2), 0.8)
    pen.shine(pen.stroke([(10, 66), (16, 54), (24, 48)], 4, curved=True), 0.5)


def car(pen: Pen) -> None:
    """A small car seen from the side."""
    cabin = [(22, 50), (32, 24), (40, 20), (64, 20), (72, 26), (84, 50)]
    pen.part(join(pen.poly(cabin), pen.box(4, 46, 97, 78, 10)))
    pen.solid(pen.poly([(30, 47), (37, 29), (49, 29), (49, 47)]), GLASS)
    pen.solid(pen.poly([(54, 29), (64, 29), (74, 47), (54, 47)]), GLASS)
    pen.solid(pen.box(89, 54, 97, 62, 3), (255, 236, 150))
    for x in (26, 75):
        pen.solid(pen.disc(x, 77, 14), DARK)
        pen.solid(pen.disc(x, 77, 6), STEEL, outline=False)
    pen.shine(pen.stroke([(10, 54), (40, 53)], 3), 0.45)


def glove(pen: Pen) -> None:
    """A glove with spread fingers and a cuff."""
    fingers = [((36, 50), (22, 20)), ((47, 46), (41, 10)), ((58, 46), (60, 10)), ((67, 52), (78, 21))]
    hand = [pen.stroke([root, tip], 14.5) for root, tip in fingers]
    palm = pen.blob([(30, 44), (50, 40), (72, 44), (74, 62), (68, 80), (34, 80), (28, 62)])
    thumb = pen.stroke([(36, 66), (12, 48)], 15)
    pen.part(join(*hand, palm, thumb))
    pen.part(pen.box(28, 76, 74, 96, 5), 0.68)
    pen.shine(pen.stroke([(36, 52), (36, 64)], 4), 0.4)


def crown(pen: Pen) -> None:
    """A crown of five points, a ball on each, gems on its band."""
    points = [(8, 30), (27, 54), (30, 18), (42, 48), (50, 12), (58, 48), (70, 18), (73, 54), (92, 30)]
    pen.part(pen.poly([(14, 88), *points, (86, 88)]))
    for x, y in points[::2]:
        pen.part(pen.disc(x, y - 2 if y > 12 else y, 6.5), 1.05)
    pen.part(pen.box(12, 74, 88, 92, 4), 0.7)
    for x in (26, 50, 74):
        pen.solid(pen.disc(x, 83, 5), CREAM)
