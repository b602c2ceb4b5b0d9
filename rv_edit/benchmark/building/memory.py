"""Making room between models that take turns on one device."""

from __future__ import annotations

import gc


def free_memory() -> None:
    """Give what dropped models held back to the device."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
