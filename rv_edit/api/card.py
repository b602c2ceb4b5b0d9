"""The model card of a folder of edits: what it is, for which model, how good where that was measured, and licences."""

from __future__ import annotations

import json
import re
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from data_modules.text import counted
from rv_edit.vlm import resolve_checkpoint

if TYPE_CHECKING:
    from rv_edit.api.folder import FolderConfig
    from rv_edit.api.state import State

METRICS = {
    "acc": "Acc, the corrected questions",
    "t_gen": "T-Gen, in other words",
    "i_gen": "I-Gen, on other pictures",
    "r_gen": "R-Gen, on the stated facts",
    "coe_gen": "CoE-Gen, on chains of error",
    "loc": "Loc, unrelated questions",
    "contrast": "contrast, same words where another answer is true",
}


def card(state: State, config: FolderConfig) -> str:
    """The card as Markdown with the hub's YAML header; what is not known is said to be so."""
    book, base = state.editor.codebook, config.base
    authors = sorted({state.about_of(edit_id).author for edit_id in state.ids} - {""})
    named, kib = shown_name(base.name), book.nbytes / 1024
    about_base = f"base_model: {_quoted(named)}\n" if _on_hub(base.name) else ""
    licence = f"license: {_quoted(config.licence)}\n" if config.licence else ""
    revision = f" at revision `{_code(base.revision)}`" if base.revision else ""
    weights = config.fingerprint.get("base_model", "unknown")
    return f"""---
library_name: rv_edit
{licence}{about_base}tags: [model-editing, vision-language-models, rv_edit]
---

# Edits of {_text(named)}

{counted(len(state.ids), "correction")} of a vision-language model by people,
{counted(len(book), "key")}, {kib:.1f} KiB.
They are data: the model's weights are not in here and stay as they are. Facts near a question are put before it.

- Base model: `{_code(named)}`{revision}, weights `{weights}`. Loading over other weights is refused.
- Sentence encoder: `{_code(shown_name(base.text_encoder))}`.
- Made by: {", ".join(map(_text, authors)) if authors else "not stated"}.

```python
from rv_edit import EditedVLM

vlm = EditedVLM.from_pretrained("<this folder or hub id>")
print(vlm.ask("picture.jpg", "What is this?"))
```

## Metrics

{_metrics(config, book.checksum())}

## Licences

- Edits: {_text(config.licence) if config.licence else "not stated"}.
- Base model: {_text(base_licence(base.name)) or "see its own card"}. It is not part of this folder.

## What to know before using them

The facts below go into prompts word for word, whenever a question is near. Whoever wrote them can make the model say
what they want about such questions. Read them before you serve them to others; `codebook.jsonl` has all of them with
where they come from, `edits.json` who made them and when.

| question | answer | facts |
| --- | --- | --- |
{_rows(state)}
"""


def shown_name(name: str) -> str:
    """A model's name for others: a hub id as it is, of a folder its last part alone."""
    return name if _on_hub(name) else PurePath(name).name


def _on_hub(name: str) -> bool:
    """Whether a name is the hub's, and no file's."""
    return not (name.startswith(("package://", ".", "~")) or Path(name).is_absolute() or Path(name).exists())


def base_licence(name: str) -> str:
    """The licence that a base model's own card states, where that card is at hand; else nothing."""
    try:
        text = (Path(resolve_checkpoint(name)) / "README.md").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""
    header = re.match(r"---\n(.*?)\n---", text, re.DOTALL)
    found = re.search(r"^license:\s*(\S+)\s*$", header.group(1), re.MULTILINE) if header else None
    return found.group(1) if found else ""


def _metrics(config: FolderConfig, checksum: str) -> str:
    measured = config.measured
    if measured is None or measured.checksum != checksum:
        return "Not measured for these edits."
    lines = ["Share of right answers, measured with exactly these edits.", "", "| suite | before | after |"]
    lines.append("| --- | --- | --- |")
    for suite, values in measured.values.items():
        lines.append(f"| {_text(METRICS.get(suite, suite))} | {values['before']:.3f} | {values['after']:.3f} |")
    return "\n".join(lines)


def _rows(state: State, most: int = 50) -> str:
    """The newest edits, at most so many."""
    rows = []
    for edit_id in state.ids[::-1][:most]:
        made = state.made(edit_id)
        rows.append(f"| {_text(made.question)} | {_text(made.answer)} | {_text(' '.join(made.reasoning))} |")
    if len(state.ids) > most:
        rows.append(f"| … and {len(state.ids) - most} older ones | | |")
    return "\n".join(rows)


def _text(text: str) -> str:
    """Words of others inside Markdown: nothing of it is markup, and a table's row stays one."""
    flat = " ".join(text.split())
    return re.sub(r"([\\`*_{}\[\]<>#|!~])", r"\\\1", flat).replace("&", "&amp;")


def _code(text: str | None) -> str:
    return " ".join((text or "").split()).replace("`", "'")


def _quoted(text: str) -> str:
    """A YAML string: JSON's strings are YAML's."""
    return json.dumps(text, ensure_ascii=True)
