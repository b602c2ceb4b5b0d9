"""What an agent starts in place of ``run.py``: composes the options it is given and writes down what they are."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from rv_edit.composing import compose_parts


def main() -> None:
    found = compose_parts(sys.argv[1:], ("editor", "dataset", "task"))
    place = Path(os.environ["STAND_IN_OUT"], f"{os.environ['WANDB_RUN_ID']}.json")
    place.write_text(json.dumps({"argv": sys.argv[1:], **found}))


if __name__ == "__main__":
    main()
