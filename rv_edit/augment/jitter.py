"""Mild colour jitter: brightness, contrast, saturation and hue, in random order (paper A.5)."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageEnhance

Jitter = tuple[float, float, float, float]
"""Greatest change of brightness, contrast, saturation (as factors 1 ± x) and hue (as a share of the circle)."""


def colour_jitter(image: Image.Image, strength: Jitter, generator: np.random.Generator) -> Image.Image:
    """Change brightness, contrast, saturation and hue of an RGB ``image`` by uniform random amounts."""
    brightness, contrast, saturation = (float(generator.uniform(max(0.0, 1 - x), 1 + x)) for x in strength[:3])
    hue = float(generator.uniform(-strength[3], strength[3]))
    for step in generator.permutation(4):
        if step == 0:
            image = ImageEnhance.Brightness(image).enhance(brightness)
        elif step == 1:
            image = ImageEnhance.Contrast(image).enhance(contrast)
        elif step == 2:
            image = ImageEnhance.Color(image).enhance(saturation)
        else:
            image = shift_hue(image, hue)
    return image


def shift_hue(image: Image.Image, share: float) -> Image.Image:
    """Turn the hue of an RGB ``image`` by a ``share`` of the circle, in steps of 1/256."""
    turn = round(share * 256) % 256
    if turn == 0:
        return image  # the way through HSV and back would cost a rounding
    hue, saturation, value = image.convert("HSV").split()
    hue = hue.point([(level + turn) % 256 for level in range(256)])
    return Image.merge("HSV", (hue, saturation, value)).convert("RGB")
