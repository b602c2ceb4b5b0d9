"""What libraries say of their own loading drowns what a command says."""

from __future__ import annotations

import logging


def quieten_libraries() -> None:
    """Warnings of the libraries that load models, and no bars of theirs."""
    for name in ("sentence_transformers", "transformers", "httpx"):
        logging.getLogger(name).setLevel(logging.WARNING)
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
