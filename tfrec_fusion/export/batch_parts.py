"""The finished parts of a long result, kept in a folder until the whole is written."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tfrec_fusion.disk import disk_errors
from tfrec_fusion.errors import InputError
from tfrec_fusion.files import StagedFiles, alone, new_file
from tfrec_fusion.paths import local_path

_PLAN, _LOCK = "plan.json", "lock"
_PART = re.compile(r"(\d+)-(\d+)\.parquet")
_log = logging.getLogger(__name__)


class BatchParts:
    """Parts of a Parquet file, each for a range of users, in the hidden folder `.NAME.parts`.

    A part is whole or absent, so a killed process goes on after its last part. If what the parts
    depend on has changed since, they are deleted and a log line says so.

    Args:
      out: the Parquet file that the parts become.
      plan: what the parts depend on; name -> value.
      schema: of the file.
      group_rows: rows of a row group; parts are joined until they have as many.

    Attributes:
      folder: of the parts.
      done: number of users, from the first on, whose parts are there.

    Example:
      >>> with BatchParts.opened("recs.parquet", {}, pa.schema([("n", pa.int32())])) as parts:
      ...     parts.add(2, pa.table({"n": pa.array([7, 8], pa.int32())}))
      ...     parts.finish()
      2
    """

    def __init__(self, out: Path, plan: Mapping[str, object], schema: pa.Schema, group_rows: int):
        self.out, self.folder, self._schema = out, _folder(out), schema
        self._group_rows = group_rows
        self._start(dict(plan))
        self.done = self._paths()[-1][1] if self._paths() else 0

    @classmethod
    @contextmanager
    def opened(
        cls,
        out: str | os.PathLike,
        plan: Mapping[str, object],
        schema: pa.Schema,
        group_rows: int = 1 << 20,
    ) -> Iterator[BatchParts]:
        """Opens the parts of `out` for this process alone.

        Raises:
          InputError: `out` is a folder or does not end in .parquet, or another process writes it.
          OSError: the disk is full; the finished parts are kept.
        """
        out = local_path(out, "out")
        if out.is_dir():
            raise InputError(f"recommend: out must be a file, not a folder. Received: {out}")
        if out.suffix != ".parquet":
            raise InputError(f"recommend: out must end in .parquet. Received: {out}")
        with disk_errors(out, "finished parts are kept, and the same command goes on after them"):
            _folder(out).mkdir(parents=True, exist_ok=True)
            with alone(_folder(out) / _LOCK, f"recommend: another process is writing {out}"):
                yield cls(out, plan, schema, group_rows)

    def add(self, users: int, table: pa.Table) -> None:
        """Writes the part of the next `users` users, and flushes it to disk."""
        path = self.folder / f"{self.done}-{self.done + users}.parquet"
        with new_file(path) as file:
            pq.write_table(table, file, compression="zstd")
        self.done += users

    def finish(self) -> int:
        """Writes all parts as one file, removes their folder, and returns the number of rows."""
        with StagedFiles() as staged:
            with staged.open(self.out) as file:
                rows = self._write(file)
            staged.put_in_place()
        shutil.rmtree(self.folder, ignore_errors=True)
        return rows

    def _write(self, file) -> int:
        rows, waiting = 0, []
        with pq.ParquetWriter(file, self._schema, compression="zstd") as writer:
            for path, _ in self._paths():
                waiting.append(pq.read_table(path, partitioning=None))
                rows += len(waiting[-1])
                if sum(map(len, waiting)) >= self._group_rows:
                    writer.write_table(pa.concat_tables(waiting))
                    waiting = []
            if waiting:
                writer.write_table(pa.concat_tables(waiting))
        return rows

    def _paths(self) -> list[tuple[Path, int]]:
        """The parts in order, each with the number of users up to its end."""
        ends = {}
        for path in self.folder.iterdir():
            named = _PART.fullmatch(path.name)
            if named:
                ends[int(named[1])] = path, int(named[2])
        found: list[tuple[Path, int]] = []
        while (end := found[-1][1] if found else 0) in ends:
            found.append(ends[end])
        return found

    def _start(self, plan: dict[str, object]) -> None:
        """Keeps the parts if they are of the same plan; else deletes them."""
        path = self.folder / _PLAN
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            before = None
        if before == plan:
            return
        parts = self._paths()
        if parts:
            changed = [name for name in plan if (before or {}).get(name) != plan[name]]
            _log.warning(
                "recommend: starts anew, without the %d users of an interrupted run, because of a "
                "change of: %s",
                parts[-1][1],
                ", ".join(changed) or "the options",
            )
        for part, _ in parts:
            part.unlink()
        with new_file(path) as file:
            file.write(json.dumps(plan, indent=2).encode())


def _folder(out: Path) -> Path:
    return out.with_name(f".{out.name}.parts")
