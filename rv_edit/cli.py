"""From the command line to :func:`rv_edit.run.run`: Hydra composes, and mistakes end in one line.

Nothing heavy is imported here, so that ``--help`` and a mistyped option answer at once.
"""

from __future__ import annotations

import difflib
import os
import re
import sys
import traceback
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from rv_edit.composing import conf_dir as conf_dir
from rv_edit.errors import ConfigError, is_bad_input

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
        if (mistyped := _UNKNOWN.match(text)) is not None:
            return no_such_option(mistyped.group(1))
        return text if not reason or reason in text else f"{text} ({reason})"
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        output = next((item.partition("=")[2] for item in sys.argv if item.startswith("hydra.run.dir=")), "")
        name = str(error.filename or "")  # the folder itself, one above it or one in it
        ours = bool(output and name) and (name.startswith(output.rstrip("/")) or output.startswith(name))
        hint = "; choose another folder with hydra.run.dir=" if ours else ""
        return f"{where}{_joined(error.strerror or str(error))}{hint}"
    if "torchvision::nms" in str(error):
        return "torchvision does not match torch; uninstall torchvision, or install both from one index"
    return None


_UNKNOWN = re.compile(r"Could not override '([\w.]+)'")


def no_such_option(name: str) -> str:
    """What to say of an option that there is not: those that are written much alike, if any."""
    from rv_edit.composing import compose_parts

    first = name.partition(".")[0]
    try:
        known = list(_paths(compose_parts([], [first])))
    except (ConfigError, KeyError, OmegaConfBaseException):
        known = []
    alike = difflib.get_close_matches(name, known, n=3, cutoff=0.8)
    told = f"; is it {' or '.join(alike)}?" if alike else ""
    return f"no option {name!r}{told}; --cfg job shows all that a command has, and +{name}=… adds one"


def _paths(node: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """The names of all options in a tree of them."""
    for key, value in node.items():
        yield f"{above}{key}"
        if isinstance(value, Mapping):
            yield from _paths(value, f"{above}{key}.")


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
    try:
        if sys.argv[1:2] == ["serve"]:
            from rv_edit.app.command import main as serve

            serve(sys.argv[2:])
        else:
            _job()
    finally:
        sys.stdout.flush()  # where Python would do it, nothing catches what goes wrong


def _quiet_end() -> NoReturn:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains once more while it ends
    sys.exit(128 + 13)


def main() -> None:
    """Run the command line. Exit status 2 and one line on stderr after bad input, no traceback."""
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # lets errors reach us, instead of Hydra printing them
    # Threads that wait for each other spin, which on a busy machine keeps from work whom they wait for: with two
    # threads beside two other processes a run took 7 times as long. Spinning a little costs an idle machine nothing.
    os.environ.setdefault("GOMP_SPINCOUNT", "5000")
    try:
        _run()
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
