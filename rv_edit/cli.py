"""From the command line to :func:`rv_edit.run.run`: Hydra composes, and mistakes end in one line.

Nothing heavy is imported here, so that ``--help`` and a mistyped option answer at once.
"""

from __future__ import annotations

import os
import sys
import traceback
from typing import NoReturn

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from rv_edit.composing import conf_dir as conf_dir
from rv_edit.errors import is_bad_input

BAD_INPUT = 2
"""Exit status after a mistake that the user can correct; 1 stays for faults of the program."""


def one_line(error: BaseException) -> str | None:
    """The message of a mistake the user can correct, on one line; ``None`` for a fault of the program."""
    if is_bad_input(error):
        return _joined(str(error))
    cause = error.__cause__
    if cause is not None and (is_bad_input(cause) or isinstance(cause, OSError)):
        return one_line(cause)
    if isinstance(error, (HydraException, OmegaConfBaseException)):
        text = _joined(str(error))
        reason = str(cause).splitlines()[0] if isinstance(cause, OmegaConfBaseException) and str(cause) else ""
        return text if not reason or reason in text else f"{text} ({reason})"
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{_joined(error.strerror or str(error))}"
    if "torchvision::nms" in str(error):
        return "torchvision does not match torch; uninstall torchvision, or install both from one index"
    return None


def _joined(text: str) -> str:
    """Several lines as one; a list of options keeps its commas, Hydra's search path goes."""
    lines = [line for line in text.split("Config search path:")[0].splitlines() if line.strip()]
    joined = ""
    for line in lines:
        listed = line.startswith(("\t", "    "))
        comma = listed and not joined.endswith(":")
        joined += (", " if comma else " ") + line.strip()
    return joined.strip()


@hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")
def _job(cfg: DictConfig) -> None:
    from rv_edit.run import run

    try:
        run(cfg)
    except Exception as error:  # noqa: BLE001  here, because Hydra would print the overrides above the line
        _end(error)


def _run() -> None:
    if sys.argv[1:2] == ["serve"]:
        from rv_edit.app.command import main as serve

        serve(sys.argv[2:])
    else:
        _job()


def _quiet_end() -> NoReturn:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains once more while it ends
    sys.exit(128 + 13)


def main() -> None:
    """Run the command line. Exit status 2 and one line on stderr after bad input, no traceback."""
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # lets errors reach us, instead of Hydra printing them
    try:
        try:
            _run()
        finally:
            sys.stdout.flush()  # where Python would do it, nothing catches what goes wrong
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(130)
    except BrokenPipeError:  # the reader has gone, as in `--help | head`: nothing to say, and nobody to say it to
        _quiet_end()
    except Exception as error:  # noqa: BLE001  every error ends here: one line or a traceback
        _end(error)


def _end(error: Exception) -> NoReturn:
    message = one_line(error)
    if message is None:
        traceback.print_exception(error)
        sys.exit(1)
    sys.stderr.write(f"error: {message}\n")
    sys.exit(BAD_INPUT)
