"""The project's own files and who imports whom, read from the source without importing anything."""

from __future__ import annotations

import ast
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("rv_edit", "data_modules")
HIDDEN = {".git", ".venv", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", "__pycache__"}
MADE = {"outputs", "multirun", "wandb", "lightning_logs", "dist", "build", "site"}


@dataclass(frozen=True)
class Import:
    """``importer`` names ``imported`` in line ``line``; ``at_start``: when the importer itself is imported."""

    importer: str
    imported: str
    line: int
    at_start: bool


def files(*suffixes: str, under: tuple[str, ...] = (".",)) -> list[Path]:
    """The project's files with one of these endings, none that a tool or a run made."""
    found = []
    for folder in under:
        for place, folders, names in os.walk(ROOT / folder):
            folders[:] = [name for name in folders if name not in HIDDEN | MADE]
            found += [Path(place, name) for name in names if name.endswith(suffixes)]
    return sorted(found)


def module_name(path: Path) -> str:
    """``rv_edit/vlm/base.py`` -> ``rv_edit.vlm.base``."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules() -> dict[str, Path]:
    """Every module of our packages, by name."""
    return {module_name(path): path for path in files(".py", under=PACKAGES)}


@cache
def imports(importer: str) -> tuple[Import, ...]:
    """Every import in a module's source, those within functions and for types alone included."""
    path = modules()[importer]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    late = {id(node) for outer in ast.walk(tree) if _is_late(outer) for node in ast.walk(outer)}
    package = importer if path.name == "__init__.py" else importer.rpartition(".")[0]
    found = []
    for node in ast.walk(tree):
        for name in _names(node, package):
            found.append(Import(importer, name, getattr(node, "lineno", 0), id(node) not in late))
    return tuple(found)


def _is_late(node: ast.AST) -> bool:
    """Whether what is within does not run when the module is imported."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        return True
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def _names(node: ast.AST, package: str) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    base = node.module or ""
    if node.level:
        parents = package.split(".")[: len(package.split(".")) - node.level + 1]
        base = ".".join([*parents, *([base] if base else [])])
    submodules = [f"{base}.{alias.name}" for alias in node.names if f"{base}.{alias.name}" in modules()]
    return submodules if len(submodules) == len(node.names) else [base, *submodules]
