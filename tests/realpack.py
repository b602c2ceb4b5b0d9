"""Where the real samples lie: in ``shared/realpack`` beside the checkout or above it, or in ``$RV_EDIT_REALPACK``."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_ABOVE = [folder / "shared" / "realpack" for folder in Path(__file__).resolve().parents[2:5]]
_GIVEN = [Path(os.environ["RV_EDIT_REALPACK"])] if os.environ.get("RV_EDIT_REALPACK") else []
REALPACK = next((place for place in [*_GIVEN, *_ABOVE] if place.is_dir()), _ABOVE[0])
FULL_AOKVQA = REALPACK / "text_only" / "aokvqa_v1p0_val_full.json"
FULL_FVQA = REALPACK / "text_only" / "fvqa_all_qs_dict_release_full.json"

needs_realpack = pytest.mark.skipif(not REALPACK.is_dir(), reason="the real samples are not here")
