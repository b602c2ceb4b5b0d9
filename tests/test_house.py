"""House rules that a program can check: sizes, layers, words, declared dependencies."""

from __future__ import annotations

import re
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.source_tree import PACKAGES, ROOT, Import, files, imports, modules

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MOST_LINES = 400
LAYERS = (
    {"rv_edit", "rv_edit.composing", "rv_edit.durable", "rv_edit.errors", "rv_edit.quiet"},
    {"rv_edit.vlm", "rv_edit.topology", "rv_edit.metrics"},
    {"rv_edit.augment", "rv_edit.codebook", "rv_edit.embedding", "rv_edit.evidence"},
    {"rv_edit.benchmark", "rv_edit.editors"},
    {"rv_edit.api", "rv_edit.loggers", "rv_edit.report"},
    {"rv_edit.app"},
    {"rv_edit.dashboards", "rv_edit.tasks"},
    {"rv_edit.__main__", "rv_edit.cli", "rv_edit.run"},
)
"""Each layer may use those before it, and its own."""
PURE = ("rv_edit.topology", "rv_edit.metrics", "rv_edit.codebook.maths")
"""Functions of tensors: of ours they may use the records and the errors alone."""
WORLD = "pocket"
"""The embedded world: a data set and checkpoints like any other, so no name for the rest of the code."""


def part(module: str) -> str:
    """``rv_edit.vlm.llava`` -> ``rv_edit.vlm``."""
    return ".".join(module.split(".")[:2])


def all_imports() -> list[Import]:
    """Every import between or out of our modules."""
    return [found for module in modules() for found in imports(module)]


def ours(name: str) -> bool:
    return name.split(".")[0] in PACKAGES


def layer_of(module: str) -> int | None:
    return next((place for place, layer in enumerate(LAYERS) if part(module) in layer), None)


@pytest.mark.parametrize("path", files(".py"), ids=lambda path: str(path.relative_to(ROOT)))
def test_files_stay_small(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= MOST_LINES, f"{path.relative_to(ROOT)} has {lines} lines; split it by concept"
    assert path.name != "utils.py", "name a module after what it is about"


def test_every_part_has_a_layer() -> None:
    known = {name for layer in LAYERS for name in layer} | {f"rv_edit.{WORLD}"}
    unknown = {part(module) for module in modules() if module.startswith("rv_edit")} - known
    assert not unknown, f"say in LAYERS where these belong: {sorted(unknown)}"


def test_imports_point_one_way() -> None:
    upward = []
    for found in all_imports():
        low, high = layer_of(found.importer), layer_of(found.imported)
        if low is not None and high is not None and high > low:
            upward.append(f"{found.importer}:{found.line} imports {found.imported}")
    assert not upward, "\n".join(upward)


def test_imports_within_a_layer_have_no_cycle_between_parts() -> None:
    edges: dict[str, set[str]] = {}
    for found in all_imports():
        one, other = part(found.importer), part(found.imported)
        if ours(found.imported) and one != other and WORLD not in one and found.at_start:
            edges.setdefault(one, set()).add(other)
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        pytest.fail(f"parts import each other: {' -> '.join(error.args[1])}")


def test_modules_do_not_import_each_other_in_circles() -> None:
    edges: dict[str, set[str]] = {}
    for found in all_imports():
        parent = found.importer.startswith(found.imported + ".")  # a package is there before what it holds
        if found.at_start and found.imported in modules() and not parent and found.imported != found.importer:
            edges.setdefault(found.importer, set()).add(found.imported)
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        pytest.fail(f"modules import each other: {' -> '.join(error.args[1])}")


def test_pure_parts_know_tensors_only() -> None:
    allowed = ("data_modules.records", "rv_edit.errors")
    wrong = []
    for found in all_imports():
        home = next((pure for pure in PURE if found.importer == pure or found.importer.startswith(pure + ".")), None)
        if home is None or not ours(found.imported) or found.imported in allowed:
            continue
        if found.imported != home and not found.imported.startswith(home + "."):
            wrong.append(f"{found.importer}:{found.line} imports {found.imported}")
    assert not wrong, "\n".join(wrong)


def test_data_modules_know_records_not_editors() -> None:
    allowed = {"rv_edit", "rv_edit.errors", f"rv_edit.{WORLD}"}
    wrong = [
        f"{found.importer}:{found.line} imports {found.imported}"
        for found in all_imports()
        if found.importer.startswith("data_modules")
        and found.imported.startswith("rv_edit")
        and part(found.imported) not in allowed
    ]
    assert not wrong, "\n".join(wrong)


def test_nobody_knows_the_embedded_world() -> None:
    named = []
    for path in [*files(".py", ".html", ".js", ".css", under=PACKAGES), ROOT / "run.py"]:
        place = path.relative_to(ROOT)
        at_home = place.parts[:2] == ("rv_edit", WORLD)
        its_source = place.parts[0] == "data_modules" and WORLD in place.as_posix()
        if not at_home and not its_source and WORLD in path.read_text(encoding="utf-8").lower():
            named.append(str(place))
    assert not named, f"only rv_edit/{WORLD}, its source in data_modules and conf/ may name it: {named}"


FORBIDDEN = {
    "a path of one machine": r"(?<![\w.])/(?:work|root|home/\w+|Users/\w+|opt/\w+)/",
    "something left undone": r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X)\b",
    "an address of one network": r"\b(?:10\.\d+\.\d+\.\d+|192\.168\.\d+\.\d+)\b",
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_forbidden_words(what: str) -> None:
    pattern = re.compile(FORBIDDEN[what])
    found = []
    for path in files(".py", ".md", ".yaml", ".toml", ".html", ".js", ".css", ".txt", ".cff", "Makefile", "run"):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if pattern.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}")
    assert not found, f"{what}:\n" + "\n".join(found)


def distribution(name: str) -> str:
    """A distribution's name as everybody may write it."""
    return re.sub(r"[-_.]+", "-", name).lower()


@cache
def declared() -> dict[str, set[str]]:
    """``run`` and each extra -> the distributions that pyproject.toml asks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = {"run": project["dependencies"], **project["optional-dependencies"]}
    return {name: {distribution(Requirement(line).name) for line in lines} for name, lines in groups.items()}


def on_request() -> set[str]:
    """What the extras for users ask for."""
    return set().union(*(lines for name, lines in declared().items() if name not in ("run", "dev")))


EXTRAS = {"rv_edit.app": "serve"}
"""Parts that need an extra, and which; the others run without any."""


IMPORT_NAMES = {
    "faiss": "faiss-cpu",
    "PIL": "pillow",
    "hydra": "hydra-core",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}


def test_imports_are_declared() -> None:
    missing = []
    for found in all_imports():
        top = found.imported.split(".")[0]
        if top in sys.stdlib_module_names or ours(found.imported):
            continue
        # what comes on request alone may be imported where it is used, never when a module is imported
        known = declared()["run"] | declared().get(EXTRAS.get(part(found.importer), ""), set())
        allowed = known if found.at_start else known | on_request()
        if distribution(IMPORT_NAMES.get(top, top)) not in allowed:
            missing.append(f"{found.importer}:{found.line} imports {top}")
    assert not missing, "not in pyproject.toml:\n" + "\n".join(missing)


def test_dependencies_are_used_explained_and_pinned() -> None:
    used = {distribution(IMPORT_NAMES.get(top, top)) for top in (one.imported.split(".")[0] for one in all_imports())}
    unused = declared()["run"].union(*(declared()[extra] for extra in EXTRAS.values())) - used
    assert not unused, f"declared but nowhere imported: {sorted(unused)}"
    explained = set(re.findall(r"^\| ([\w-]+) \|", (ROOT / "docs/dependencies.md").read_text(encoding="utf-8"), re.M))
    wanted = set().union(*declared().values())
    assert {distribution(name) for name in explained} - {"distribution", "-"} == wanted
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {distribution(Requirement(line).name) for line in pins if line and not line.startswith("#")}
    assert not wanted - pinned, "not in constraints.txt"
