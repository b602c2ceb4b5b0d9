"""Whether a command of a page is one that its program takes, without running it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import product

from packaging.requirements import Requirement

from tests.source_tree import ROOT, modules
from tests.test_house import declared

ELSEWHERE = {
    "curl": "needs a network, or the service: tests/test_docs.py runs those of service.md",
    "base64": "within a curl of service.md",
    "cp": "copies what a command before it makes",
    "hf": "needs the hub",
    "tar": "unpacks what needs a network",
    "unzip": "unpacks what needs a network",
    "mkdir": "makes a folder for what needs a network",
    "torchrun": "starts several processes, and machines; tests/soak/test_launchers.py starts one",
    "srun": "needs a cluster",
    "wandb": "needs a W&B server; tests/sweeps has the agent render its commands",
    "source": "enters an environment that only `make` makes",
}
"""Programs that no test starts, and why; everything else is checked by a function of ``CHECKS`` below."""
RUN = (["python", "run.py"], ["python", "-m", "rv_edit"], ["rv-edit"])


class Unlisted(AssertionError):
    """A command that nobody checks and nobody says why."""


def run_options(argv: Sequence[str]) -> list[str] | None:
    """Arguments of a command that composes options and runs a task; ``None``: it is another."""
    for start in RUN:
        if list(argv[: len(start)]) == start and argv[len(start) : len(start) + 1] != ["serve"]:
            return list(argv[len(start) :])
    return None


def overrides(arguments: Sequence[str]) -> list[list[str]]:
    """Overrides of each job of a command: one, or with ``-m`` one a combination.

    >>> overrides(["-m", "a=1,2", "b=[3,4]"])
    [['a=1', 'b=[3,4]'], ['a=2', 'b=[3,4]']]
    """
    given = list(arguments)
    if given[:2] == ["--cfg", "job"]:
        given = given[2:]
    swept = bool(given) and given[0] in ("-m", "--multirun")
    given = given[swept:]
    assert not any(item.startswith("-") for item in given), f"options of Hydra itself stand in front: {given}"
    names = [item.partition("=")[0] for item in given]
    assert len(set(names)) == len(names), f"given twice, or braces that bash takes apart: {given}"
    if not swept:
        return [given]
    values = [re.split(r",(?![^\[{]*[\]}])", item.partition("=")[2]) for item in given]
    assert any(len(each) > 1 for each in values), f"-m with nothing to sweep: {given}"
    return [[f"{name}={one}" for name, one in zip(names, row, strict=True)] for row in product(*values)]


def check_run(arguments: Sequence[str]) -> None:
    """Every job composes, and refers to nothing that is not there."""
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    from rv_edit.cli import conf_dir

    if list(arguments) == ["--help"]:
        return
    jobs = overrides(arguments)
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        for job in jobs:
            OmegaConf.resolve(compose("config", overrides=[*job, "output=out"]))


def check_serve(arguments: Sequence[str]) -> None:
    """The service takes its options."""
    from rv_edit.app.command import parse

    if list(arguments) != ["--help"]:
        parse(arguments)


def check_options(source: str, arguments: Sequence[str]) -> None:
    """Every ``--option`` is one that the program's source adds; what is no option may be an override."""
    text = (ROOT / source).read_text(encoding="utf-8")
    known = set(re.findall(r"add_argument\(\s*\"(--[\w-]+)\"", text))
    if 'f"--{' in text:  # export.py adds one a family
        known |= {"--llava", "--instructblip", "--qwen3vl"}
    for option in (word.partition("=")[0] for word in arguments if word.startswith("--")):
        assert option in known, f"{source} has no option {option}"


def check_python(arguments: Sequence[str]) -> None:
    """A file or module of the project, with options that it has."""
    if arguments[0] == "-m":
        name = arguments[1]
        if name == "tests.editors.collected":
            assert (ROOT / "tests/editors/collected.py").is_file()
            return
        found = modules().get(f"{name}.__main__") or modules().get(name)
        assert found is not None, f"no module {name}"
        check_options(found.relative_to(ROOT).as_posix(), arguments[2:])
    else:
        assert (ROOT / arguments[0]).is_file(), f"no file {arguments[0]}"
        check_options(arguments[0], arguments[1:])


def check_make(arguments: Sequence[str]) -> None:
    """A target of the Makefile, with variables that it reads; paths of tests and options of runs exist."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):.*## ", text, re.MULTILINE))
    wanted = [word for word in arguments if "=" not in word]
    assert set(wanted) <= targets, f"make has no target {set(wanted) - targets}"
    for name, _, value in (word.partition("=") for word in arguments if "=" in word):
        assert f"$({name})" in text, f"the Makefile does not read {name}"
        if name == "TESTS":
            assert (ROOT / value).exists(), f"no {value}"
        elif name == "ARGS" and wanted == ["run"]:
            check_run(value.split())


def check_pip(arguments: Sequence[str]) -> None:
    """Installing needs an index; the extras are those there are."""
    for extra in re.findall(r"\[([\w,]+)\]", " ".join(arguments)):
        assert set(extra.split(",")) <= set(declared()), f"pyproject.toml has no extra {extra}"
    for word in arguments:
        if word.startswith("rv-edit"):
            Requirement(word)


def check_bash(arguments: Sequence[str]) -> None:
    """A script that is there."""
    assert (ROOT / arguments[0]).is_file()


def check_mkdocs(arguments: Sequence[str]) -> None:
    """What ``tests/docs/test_site.py`` runs, or the same for somebody who writes."""
    assert list(arguments) in (["build", "--strict"], ["serve"])


CHECKS: dict[str, Callable[[Sequence[str]], None]] = {
    "python": check_python,
    "rv-edit": lambda arguments: check_serve(arguments[1:]),
    "make": check_make,
    "pip": check_pip,
    "bash": check_bash,
    "mkdocs": check_mkdocs,
}


def check(argv: Sequence[str]) -> None:
    """Check one command.

    Raises:
        Unlisted: nobody knows its program.
        AssertionError, ConfigError, HydraException: the program would not take it.
    """
    options = run_options(argv)
    if options is not None:
        check_run(options)
    elif argv[0] in CHECKS:
        CHECKS[argv[0]](argv[1:])
    elif argv[0].rpartition("/")[2] not in ELSEWHERE:
        raise Unlisted(f"{argv[0]}: say in tests/docs/commands.py how it is checked, or in ELSEWHERE why it is not")
