"""Tables in the hub's formats, from the hub or from files: parquet and arrow, row by row, never whole in memory."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from data_modules.hub_errors import first_line, hub_reason, innermost
from data_modules.published import hub_command
from data_modules.reading import instead_of_data
from data_modules.records import RecordError

Row = dict[str, Any]


class HubTable:
    """A split of a data set, whose columns are checked before a row is read.

    Args:
        source: name on the hub, a folder with its parquet files or what ``save_to_disk`` wrote, or one parquet file.
        split: as the data set names it; of no meaning for one file.
        columns: those that must be there, with what each holds, for the message where they are not.
        streaming: read the hub's files while they arrive; ``False``: download them first. Files at hand are always read
            in place.
        only: leave out all other columns, whatever they hold.

    Raises:
        RecordError: it cannot be reached, holds no such split, is damaged, or has other columns.
    """

    def __init__(
        self, source: str, split: str, columns: Mapping[str, str], *, streaming: bool = True, only: bool = False
    ) -> None:
        self.source, self.split = source, split
        with self._readable():
            self._table: Any = self._open(streaming)
        found = _columns(self._table)
        missing = [name for name in columns if found is not None and name not in found]
        if missing:
            raise RecordError(
                f"{self.place}: no column {', '.join(missing)}; expected "
                + ", ".join(f"{name} ({kind})" for name, kind in columns.items())
                + f"; found {', '.join(found or ()) or 'none'}; give the data set itself, or a copy of all its columns"
            )
        if only and found is not None and len(found) > len(columns):
            with self._readable():
                self._table = self._table.select_columns(list(columns))
        self._raw_pictures([name for name, kind in columns.items() if kind == "picture"])

    @property
    def place(self) -> str:
        """How messages name it."""
        return self.source if self.source.endswith(".parquet") else f"{self.source} ({self.split})"

    def rows(self, start: int = 0) -> Iterator[Row]:
        """The rows from ``start`` on; a picture is ``{"bytes": …, "path": …}``, not decoded.

        Raises:
            RecordError: the connection breaks, or a file is damaged.
        """
        rows = iter(self._table.skip(start) if start else self._table)
        while True:
            with self._readable():
                row = next(rows, None)
            if row is None:
                return
            yield row

    def _open(self, streaming: bool) -> Any:
        import datasets

        # What the library says of its progress and of a damaged file would be a second voice.
        datasets.disable_progress_bars()
        logging.getLogger("datasets").setLevel(logging.CRITICAL)
        path = Path(self.source).expanduser()
        if path.is_file():
            return datasets.load_dataset("parquet", data_files={"all": [str(path)]}, split="all", streaming=True)
        if (path / "dataset_dict.json").is_file():
            return datasets.load_from_disk(str(path))[self.split]
        if (path / "state.json").is_file():
            return datasets.load_from_disk(str(path))
        if path.is_dir():
            return datasets.load_dataset(str(path), split=self.split, streaming=True)
        return datasets.load_dataset(self.source, split=self.split, streaming=streaming)

    def _raw_pictures(self, names: list[str]) -> None:
        """Leave pictures encoded.

        Raises:
            RecordError: a column holds something else.
        """
        import datasets

        for name in names:
            kind = None if self._table.features is None else self._table.features[name]
            if kind is not None and not _may_be_picture(kind):
                raise RecordError(
                    f"{self.place}: column {name} holds no pictures (found {kind}); give the data set itself"
                )
            with self._readable():
                self._table = self._table.cast_column(name, datasets.Image(decode=False))

    @contextmanager
    def _readable(self) -> Iterator[None]:
        """Whatever the library raises becomes one line that names the place and the way out."""
        try:
            yield
        except (RecordError, KeyboardInterrupt, MemoryError):
            raise
        except Exception as error:  # the readers of parquet, arrow and the hub share no base class
            raise self._unreadable(error) from error

    def _unreadable(self, error: Exception) -> RecordError:
        if (reason := hub_reason(error, self.source, dataset=True)) is not None:
            return RecordError(f"{self.place}: {reason}")
        if isinstance(error, ConnectionError):
            return RecordError(
                f"{self.place}: the hub cannot be reached ({first_line(error)}); on a machine with network: "
                f"{hub_command(self.source)}, or give a copy with dataset.root=<folder>"
            )
        if (what := self._not_a_table()) is not None:
            return RecordError(f"{what}; fetch it again with {self._command()}")
        # "An error occurred while generating the dataset" says less than what it was raised from.
        return RecordError(
            f"{self.place}: cannot be read ({first_line(innermost(error))}); a damaged or partial download is fetched "
            f"again with {self._command()}"
        )

    def _not_a_table(self) -> str | None:
        """Which file at hand is what a failed download leaves, and what that is."""
        path = Path(self.source).expanduser()
        files = [path] if path.is_file() else sorted(path.rglob("*.parquet")) if path.is_dir() else []
        for file in files:
            with suppress(OSError), file.open("rb") as stream:
                if (what := instead_of_data(stream.read(256))) is not None:
                    return f"{file}: {what}"
        return None

    def _command(self) -> str:
        if Path(self.source).expanduser().exists():
            return "the command that made it (see docs/data.md)"
        return hub_command(self.source)


def _columns(table: Any) -> list[str] | None:
    """Names of the columns; ``None`` where only the rows would tell."""
    return None if table.features is None else list(table.features)


def _may_be_picture(kind: Any) -> bool:
    """Whether a column is of encoded pictures: as the library marks them, or as parquet files without its marks do."""
    import datasets

    plain = isinstance(kind, datasets.Value) and kind.dtype in ("binary", "large_binary")
    return plain or isinstance(kind, datasets.Image) or (isinstance(kind, dict) and "bytes" in kind)
