"""A process that loads a model once and forks a service whenever a line with a port comes in; it prints its id.

A fork is a process of its own, to be killed like any other, that needs no minute to import everything again.

    python -m tests.app.forking <data folder> <model> [option=value ...]
"""

from __future__ import annotations

import os
import sys
from pathlib import Path


def main(data: str, model: str, *overrides: str) -> None:
    import uvicorn

    from rv_edit import EditedVLM
    from rv_edit.app.keys import Keys
    from rv_edit.app.server import create_app
    from rv_edit.app.service import Service
    from tests.app.conftest import settings

    loaded = EditedVLM.from_pretrained(model, overrides=overrides)
    print("loaded", flush=True)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            # As `rv-edit serve` does from here on: the journal is read, then questions are taken.
            vlm = EditedVLM(loaded.state, loaded.base)
            service = Service(vlm, settings(Path(data), name="tiny"), Keys({}))
            uvicorn.run(create_app(service), port=int(line), log_level="warning")
            os._exit(0)
        print(child, flush=True)
        os.waitpid(child, 0)
        print("gone", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
