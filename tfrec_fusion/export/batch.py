"""Recommendations for many users, written to a Parquet file."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from tfrec_fusion.errors import InputError
from tfrec_fusion.export.batch_parts import BatchParts
from tfrec_fusion.export.batch_users import BatchUsers
from tfrec_fusion.export.model_card import CARD
from tfrec_fusion.progress import WorkProgress

SCHEMA = pa.schema(
    [
        pa.field("user_id", pa.string(), nullable=False),
        pa.field("rank", pa.int32(), nullable=False),
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("score", pa.float32(), nullable=False),
        pa.field("known", pa.bool_(), nullable=False),
    ]
)
NEW_USERS = ("keep", "drop")
# A batch holds users x items scores a few times, and more users would not be faster.
_SCORES, MOST_USERS = 1 << 24, 1024
PART_ROWS, _PART_SECONDS = 1 << 19, 15.0
_EXAMPLES = 3
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BatchReport:
    """What a batch recommendation has written.

    Attributes:
      path: the file.
      users: users who were answered, those of an interrupted run included.
      new_users: users whom the export does not know, answered or left out.
      resumed: users of an interrupted run.
      rows: rows of the file.
      seconds: time taken by this run.
    """

    path: str
    users: int
    new_users: int
    resumed: int
    rows: int
    seconds: float

    @property
    def users_per_second(self) -> float:
        """Users of this run a second."""
        return (self.users - self.resumed) / max(self.seconds, 1e-9)

    def to_dict(self) -> dict:
        """Its values for JSON."""
        return asdict(self) | {"users_per_second": self.users_per_second}


def write_recommendations(
    answers: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    known: Callable[[np.ndarray], np.ndarray],
    version: Path,
    n_items: int,
    users: str | os.PathLike | Iterable[str],
    out: str | os.PathLike,
    options: dict[str, object],
    new_users: str = "keep",
    progress: bool = True,
) -> BatchReport:
    """Writes recommendations for many users; see `Recommender.recommend_all`.

    Args:
      answers: from user ids `[B]` to item ids `[B, k]` of bytes, b"" for none, and scores `[B, k]`.
      known: from user ids to `[B]` bool, whether the export has the user.
      version: the version's folder.
      n_items: number of items of the export.
      users, out, new_users, progress: see `Recommender.recommend_all`.
      options: all that the answers depend on beside the version and the users; for JSON.
    """
    begin = time.monotonic()
    if new_users not in NEW_USERS:
        raise InputError(
            f"recommend: new_users must be one of {', '.join(NEW_USERS)}. Received: {new_users!r}"
        )
    chosen = BatchUsers.of(users, version)
    ids = chosen.ids
    is_known = known(ids)
    lacking = ids[~is_known]
    if len(lacking):
        _log.warning(
            "recommend: %d of %d users are not in the export and %s; first %s",
            len(lacking),
            len(ids),
            "are left out"
            if new_users == "drop"
            else "get the answer of a new user (known is false in their rows)",
            lacking[:_EXAMPLES].tolist(),
        )
    if new_users == "drop":
        ids, is_known = ids[is_known], is_known[is_known]
        if not len(ids):
            raise InputError(
                f"recommend: no user is left, as the export has none of {len(lacking)} users. "
                f"Received: {lacking[:_EXAMPLES].tolist()}"
            )
    plan = {
        "export": _fingerprint(version),
        "users": chosen.fingerprint,
        "new_users": new_users,
        **options,
    }
    step = min(max(_SCORES // max(n_items, 1), 1), MOST_USERS)
    with BatchParts.opened(out, plan, SCHEMA) as parts:
        resumed = parts.done
        if resumed:
            _log.warning("recommend: goes on after %d users of an interrupted run", resumed)
        shown = None if progress else False
        tables: list[pa.Table] = []
        waiting, since = 0, time.monotonic()
        with WorkProgress(
            "recommended to", len(ids), "users", done=resumed, console=shown, tell_end=False
        ) as bar:
            for count, table in _tables(answers, ids[resumed:], is_known[resumed:], step):
                tables.append(table)
                waiting += count
                bar.advance(count)
                late = time.monotonic() - since >= _PART_SECONDS
                if late or sum(map(len, tables)) >= PART_ROWS:
                    parts.add(waiting, pa.concat_tables(tables))
                    tables, waiting, since = [], 0, time.monotonic()
        if waiting:
            parts.add(waiting, pa.concat_tables(tables))
        rows = parts.finish()
    taken = time.monotonic() - begin
    return BatchReport(os.fspath(out), len(ids), len(lacking), resumed, rows, taken)


def _tables(answers: Callable, ids: np.ndarray, known: np.ndarray, step: int) -> Iterator:
    """Yields, for `step` users at a time, their number and the rows of the file.

    The next users are answered while the rows of the last ones are made and written.
    """
    running: deque[tuple[slice, Future]] = deque()

    def finished() -> tuple[int, pa.Table]:
        part, answer = running.popleft()
        return part.stop - part.start, _table(ids[part], known[part], *answer.result())

    with ThreadPoolExecutor(2) as pool:
        for begin in range(0, len(ids), step):
            part = slice(begin, min(begin + step, len(ids)))
            running.append((part, pool.submit(answers, ids[part])))
            if len(running) == 3:
                yield finished()
        while running:
            yield finished()


def _table(ids: np.ndarray, known: np.ndarray, items: np.ndarray, scores: np.ndarray) -> pa.Table:
    """The rows of some users: `items` `[B, k]` bytes, b"" for none."""
    there = items != b""
    user, place = np.nonzero(there)
    columns = [
        pa.array(ids, pa.string()).take(pa.array(user)),
        pa.array(place + 1, pa.int32()),
        pa.array(items[there], pa.binary()).cast(pa.string()),
        pa.array(scores[there], pa.float32()),
        pa.array(known[user]),
    ]
    return pa.table(columns, schema=SCHEMA)


def _fingerprint(version: Path) -> str:
    """SHA-256 of a version's card and of TensorFlow's own fingerprint of the SavedModel."""
    digest = hashlib.sha256()
    for name in (CARD, "fingerprint.pb"):
        if (version / name).is_file():
            digest.update((version / name).read_bytes())
    return digest.hexdigest()
