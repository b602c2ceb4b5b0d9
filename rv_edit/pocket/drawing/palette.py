"""Colours of the pocket world: what things are painted with and how a light tints the picture.

All values are 8-bit sRGB triples. A texture uses a second shade of the same hue, so that no pattern can be taken
for another colour. Dots are always pale and checks always dark: in a small picture, where both blur, their
brightness still tells them apart.
"""

from __future__ import annotations

RGB = tuple[int, int, int]

PAINT: dict[str, RGB] = {
    "red": (213, 43, 44),
    "orange": (243, 132, 24),
    "yellow": (250, 213, 46),
    "green": (52, 158, 74),
    "blue": (42, 102, 214),
    "purple": (124, 62, 178),
    "pink": (247, 143, 190),
    "grey": (140, 146, 153),
}

STRIPE: dict[str, RGB] = {
    "red": (255, 184, 166),
    "orange": (156, 74, 6),
    "yellow": (186, 124, 8),
    "green": (176, 226, 160),
    "blue": (160, 196, 252),
    "purple": (206, 170, 238),
    "pink": (204, 62, 128),
    "grey": (226, 229, 232),
}

CHECK: dict[str, RGB] = {
    "red": (122, 6, 26),
    "orange": (164, 70, 4),
    "yellow": (182, 110, 4),
    "green": (12, 88, 44),
    "blue": (12, 36, 118),
    "purple": (62, 16, 104),
    "pink": (198, 52, 124),
    "grey": (72, 78, 90),
}

CREAM: RGB = (250, 243, 224)
WOOD: RGB = (186, 134, 84)
STEEL: RGB = (196, 202, 208)
DARK: RGB = (48, 46, 56)
GLASS: RGB = (206, 232, 244)
FLAME: RGB = (255, 190, 50)
GLOW: RGB = (255, 240, 170)
COFFEE: RGB = (92, 58, 40)

# What a white sheet looks like at the top and at the bottom of a picture, in each light.
LIGHT: dict[str, tuple[RGB, RGB]] = {
    "day": ((255, 255, 255), (255, 255, 255)),
    "dusk": ((255, 212, 176), (255, 228, 188)),
    "night": ((136, 152, 212), (164, 176, 222)),
}


def mix(first: RGB, second: RGB, share: float) -> RGB:
    """Colour on the way from ``first`` (share 0) to ``second`` (share 1).

    >>> mix((0, 0, 0), (200, 100, 50), 0.5)
    (100, 50, 25)
    """
    r, g, b = (round(a + (z - a) * share) for a, z in zip(first, second, strict=True))
    return r, g, b


def dimmed(rgb: RGB, factor: float) -> RGB:
    """The colour times a factor, cut at white.

    >>> dimmed((100, 200, 250), 1.1)
    (110, 220, 255)
    """
    r, g, b = (min(255, round(c * factor)) for c in rgb)
    return r, g, b


def ink_of(paint: RGB) -> RGB:
    """Outline colour: a deep shade of the paint itself, softer to the eye than black."""
    return mix(paint, (22, 18, 34), 0.76)


def pattern_of(colour: str, texture: str) -> RGB:
    """Second shade of a coloured texture."""
    if texture == "dotted":
        return mix(PAINT[colour], (255, 253, 246), 0.8)
    if texture == "checked":
        return CHECK[colour]
    return STRIPE[colour]
