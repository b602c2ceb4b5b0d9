"""The eight grounds: each function paints one place, of low contrast and its own mood."""

from __future__ import annotations

import math

from rv_edit.pocket.drawing.brush import Brush
from rv_edit.pocket.drawing.palette import dimmed
from rv_edit.pocket.drawing.pen import Point


def beach(brush: Brush) -> None:
    """Sand with ripples and shells, the sea along one side."""
    brush.wash((240, 222, 180))
    rng = brush.rng
    for step in range(14):
        y = 15.0 * step + rng.uniform(-3, 3)
        brush.line(_wave(brush, y, 2.5, 60), brush.tint((231, 209, 163), 0.015), 2.2)
    brush.blur(1.0)
    for x, y in brush.spots(420):
        brush.disc(x, y, rng.uniform(0.25, 0.6), rng.choice(((214, 188, 140), (250, 238, 206))))
    shore = rng.choice((34.0, 44.0, 54.0))
    wet, foam, shallow, deep = (222, 198, 150), (252, 252, 246), (150, 208, 216), (120, 190, 208)
    for lift, rgb in ((5.0, wet), (0.0, foam), (-3.0, shallow), (-16.0, deep)):
        edge = _wave(brush, shore + lift, 4.0, 70)
        brush.poly([(-9, -9), *edge, (brush.units + 9, -9)], rgb)
    for y in (6.0, 18.0):
        brush.line(_wave(brush, y, 2.0, 44), (168, 218, 224), 1.2)
    for x, y in brush.spots(9):
        if y > shore + 12:
            _shell(brush, x, y)


def meadow(brush: Brush) -> None:
    """Fresh grass with small flowers."""
    brush.wash((186, 214, 132))
    rng = brush.rng
    for x, y in brush.spots(40):
        brush.disc(x, y, rng.uniform(8, 18), brush.tint((184, 212, 130), 0.035))
    brush.blur(5.0)
    for x, y in brush.spots(620):
        height, bend = rng.uniform(3.5, 7.0), rng.uniform(-2, 2)
        rgb = rng.choice(((160, 196, 106), (170, 204, 116), (204, 228, 150)))
        brush.poly([(x - 0.6, y), (x + bend, y - height), (x + 0.6, y)], rgb)
    for x, y in brush.spots(20):
        petal = rng.choice(((255, 255, 250), (252, 226, 240), (255, 246, 190)))
        for turn in range(5):
            angle = 2 * math.pi * turn / 5 + x
            brush.disc(x + 1.5 * math.cos(angle), y + 1.5 * math.sin(angle), 1.15, petal)
        brush.disc(x, y, 0.9, (240, 192, 80))


def snow(brush: Brush) -> None:
    """Soft drifts, a trail of bird tracks, a few sparkles."""
    brush.wash((242, 247, 252))
    rng = brush.rng
    for x, y in sorted(brush.spots(26), key=lambda spot: spot[1]):
        rx = rng.uniform(22, 46)
        brush.disc(x, y + 3.5, rx, (206, 220, 238), rx * 0.36)
        brush.disc(x, y, rx, (244, 248, 253), rx * 0.36)
    brush.blur(2.6)
    x, y, angle = rng.uniform(20, 60), rng.uniform(20, 160), rng.uniform(-0.5, 0.5)
    for _ in range(14):
        x, y, angle = x + 11 * math.cos(angle), y + 11 * math.sin(angle), angle + rng.uniform(-0.25, 0.25)
        for turn in (-0.5, 0.0, 0.5):
            tip = (x + 3.2 * math.cos(angle + turn), y + 3.2 * math.sin(angle + turn))
            brush.line([(x, y), tip], (190, 206, 226), 0.8)
    for x, y in brush.spots(70):
        brush.disc(x, y, rng.uniform(0.3, 0.8), (255, 255, 255))
    for x, y in brush.spots(40):
        brush.disc(x, y, 0.5, (200, 214, 234))


def kitchen(brush: Brush) -> None:
    """Floor tiles in cream and pale blue with a small diamond at the joints."""
    brush.wash((214, 210, 202))
    side, x0, y0 = 24.0, brush.rng.uniform(-24, 0), brush.rng.uniform(-24, 0)
    count = int(brush.units / side) + 3
    for row in range(count):
        for column in range(count):
            x, y = x0 + side * column, y0 + side * row
            rgb = brush.tint((247, 241, 226) if (row + column) % 2 else (196, 216, 226), 0.018)
            light = (min(255, rgb[0] + 8), min(255, rgb[1] + 8), min(255, rgb[2] + 8))
            brush.box(x + 0.5, y + 0.5, x + side - 0.5, y + side - 0.5, rgb, 1.5)
            brush.line([(x + 2, y + 2.2), (x + side - 3, y + 2.2)], light, 0.9)
    for row in range(count):
        for column in range(count):
            x, y = x0 + side * column, y0 + side * row
            brush.poly([(x - 3.6, y), (x, y - 3.6), (x + 3.6, y), (x, y + 3.6)], (160, 186, 200), (214, 210, 202), 0.5)


def street(brush: Brush) -> None:
    """Asphalt with a dashed lane line and a kerb of paving stones."""
    rng = brush.rng
    brush.wash((112, 113, 124))
    for x, y in brush.spots(30):
        brush.disc(x, y, rng.uniform(10, 24), brush.tint((112, 113, 124), 0.05))
    brush.blur(6.0)
    for x, y in brush.spots(1500):
        brush.disc(x, y, rng.uniform(0.25, 0.55), rng.choice(((98, 98, 110), (128, 129, 140))))
    lane = rng.uniform(86, 110)
    for dash in range(6):
        x = 44.0 * dash - rng.uniform(14, 16)
        brush.poly([(x, lane), (x + 26, lane), (x + 26, lane + 5), (x, lane + 5)], (222, 218, 206))
    for y, stagger in ((20.0, 0.0), (31.0, 9.0)):
        for stone in range(12):
            x = 18.0 * stone - stagger
            brush.box(x + 0.6, y, x + 17.4, y + 10, brush.tint((160, 154, 150), 0.045), 2.0)
    brush.line([(0, 43), (brush.units, 43)], (86, 86, 98), 2.0)
    crack = [(rng.uniform(20, 120), 192.0)]
    while crack[-1][1] > 130:
        crack.append((crack[-1][0] + rng.uniform(-6, 8), crack[-1][1] - rng.uniform(5, 10)))
    brush.line(crack, (92, 92, 104), 0.9)


def carpet(brush: Brush) -> None:
    """A woven carpet: rows of lozenges between narrow bands."""
    rng = brush.rng
    ground, pale, deep, rust = (122, 152, 158), (166, 186, 182), (98, 126, 138), (190, 160, 146)
    brush.wash(ground)
    x0, y0 = rng.uniform(-36, 0), rng.uniform(-48, 0)
    for row in range(7):
        y = y0 + 48.0 * row
        brush.box(-1, y - 5, brush.units + 1, y + 5, deep)
        for step in range(40):
            x = x0 + 7.2 * step
            brush.poly([(x, y + 3), (x + 3.6, y - 3), (x + 7.2, y + 3)], pale)
        for edge in (-6.2, 6.2):
            brush.line([(0, y + edge), (brush.units, y + edge)], rust, 1.2)
        for step in range(9):
            x = x0 + 36.0 * step
            for half, rgb in ((16.0, deep), (13.0, pale), (9.5, ground), (5.0, rust)):
                brush.poly([(x - half, y + 24), (x, y + 24 - half), (x + half, y + 24), (x, y + 24 + half)], rgb)
            for up in (-12.0, 12.0):
                brush.disc(x + 18, y + 24 + up, 2.2, rust)
    for step in range(int(brush.units / 1.5)):
        y = 1.5 * step
        brush.line([(0, y), (brush.units, y)], brush.tint((116, 146, 152), 0.03), 0.25)
    brush.blur(0.4)


def table(brush: Brush) -> None:
    """Planks of light wood with grain, knots and nails."""
    rng = brush.rng
    width = 32.0
    y = -rng.uniform(0, width)
    while y < brush.units:
        rgb = brush.tint((226, 190, 146), 0.03)
        brush.box(0, y, brush.units, y + width, rgb)
        for _ in range(9):
            level = y + rng.uniform(2, width - 2)
            grain = _wave(brush, level, rng.uniform(0.3, 1.2), rng.uniform(60, 140))
            brush.line(grain, dimmed(rgb, 0.92), rng.uniform(0.4, 0.9))
        brush.line([(0, y + 0.9), (brush.units, y + 0.9)], dimmed(rgb, 1.04), 1.0)
        knot_x, knot_y = rng.uniform(10, 180), y + rng.uniform(9, width - 9)
        for rx, factor in ((7.0, 0.93), (5.0, 0.97), (3.2, 0.86), (1.8, 0.74)):
            brush.disc(knot_x, knot_y, rx, brush.tint(dimmed((226, 190, 146), factor), 0.0), rx * 0.55)
        brush.line([(0, y), (brush.units, y)], (166, 126, 86), 0.9)
        y += width


def roof(brush: Brush) -> None:
    """Rows of rounded terracotta tiles, each row overlapping the one below."""
    rng = brush.rng
    brush.wash((168, 112, 94))
    wide, high = 20.0, 15.0
    x0, y0 = rng.uniform(-wide, 0), rng.uniform(-high, 0)
    for row in range(int(brush.units / high) + 3, -2, -1):
        y = y0 + high * row
        for column in range(-1, int(brush.units / wide) + 3):
            x = x0 + wide * column + (wide / 2 if row % 2 else 0.0)
            rgb = brush.tint((206, 148, 124), 0.045)
            brush.box(x + 0.4, y - 8, x + wide - 0.4, y + high + 3.5, (156, 102, 86), 9.0)
            brush.box(x + 0.4, y - 8, x + wide - 0.4, y + high + 2.0, rgb, 9.0)
            shine = (min(255, rgb[0] + 12), min(255, rgb[1] + 12), min(255, rgb[2] + 12))
            brush.line([(x + 4, y + 3), (x + 4, y + high - 5)], shine, 1.6)


def _wave(brush: Brush, level: float, height: float, length: float) -> list[Point]:
    """A wavy line across the whole ground."""
    start, drift = brush.rng.uniform(0, 6.3), brush.rng.uniform(0, 6.3)
    return [
        (x, level + height * (math.sin(6.28 * x / length + start) + 0.4 * math.sin(15.1 * x / length + drift)))
        for x in range(-6, round(brush.units) + 7, 3)
    ]


def _shell(brush: Brush, x: float, y: float) -> None:
    """A small ribbed shell, open side up."""
    radius = brush.rng.uniform(2.6, 4.0)
    fan = [(x + radius * math.cos(a / 10), y - radius * math.sin(a / 10)) for a in range(2, 30, 2)]
    brush.poly([(x, y + radius * 0.7), *fan], (250, 228, 214), (206, 160, 140), 0.5)
    for tip in fan[2:-2:3]:
        brush.line([(x, y + radius * 0.6), tip], (226, 186, 166), 0.4)
