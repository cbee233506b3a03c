"""The users of a batch recommendation."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from tfrec_fusion.data import Vocabulary
from tfrec_fusion.data.tables import check_ids, read_table, require_columns
from tfrec_fusion.errors import InputError
from tfrec_fusion.paths import local_path

ALL = "all"
STORED_USERS = "assets/users.txt"
_log = logging.getLogger(__name__)


class BatchUsers:
    """Distinct user ids, in the order in which they were given first.

    Args:
      ids: `[n]` strings; repeated ids count once, and a log line counts them.

    Attributes:
      ids: `[u]` distinct strings.

    Raises:
      InputError: there are no ids, or some are missing, empty or no strings.

    Example:
      >>> BatchUsers(["b", "a", "b"]).ids.tolist()
      ['b', 'a']
    """

    def __init__(self, ids: Iterable[str]):
        values = ids.tolist() if isinstance(ids, np.ndarray) else list(ids)
        frame = pd.DataFrame({"user_id": pd.Series(values, dtype=object)})
        require_columns(frame, ["user_id"], "users")
        given = check_ids(frame, "user_id", "users")
        self.ids: np.ndarray = pd.unique(given)
        if len(self.ids) < len(given):
            _log.warning(
                "recommend: %d of %d user ids are repeated; each counts once",
                len(given) - len(self.ids),
                len(given),
            )

    @classmethod
    def of(cls, users: str | os.PathLike | Iterable[str], version: Path) -> BatchUsers:
        """Reads users.

        Args:
          users: "all" for all users of the export; a path that ends in .txt (one id a line), .csv
            or .csv.gz, or any other as Parquet, with a column `user_id`; or the ids themselves.
          version: folder of the export's version.
        """
        if isinstance(users, str) and users == ALL:
            stored = Vocabulary.load(version / STORED_USERS).ids
            if not len(stored):
                raise InputError(f"recommend: the export has no users. Received: {version}")
            return cls(stored)
        if isinstance(users, str | os.PathLike):
            path = local_path(users, "users")
            if not path.exists():
                raise InputError(
                    "users: no such file or folder; single ids are a list in Python, and --user on "
                    f"the command line. Received: {users}"
                )
            if path.name.lower().endswith(".txt"):
                return cls(_lines(path))
            frame = read_table(path, None, "users")
            if "user_id" not in frame:
                raise InputError(
                    f"users: {path} has no column 'user_id'; rename the column of the ids. Columns "
                    f"received: {[str(name) for name in frame.columns]}"
                )
            return cls(frame["user_id"])
        if not isinstance(users, Iterable):
            raise InputError(
                'recommend: users must be "all", a path or a list of ids. '
                f"Received: {type(users).__name__}"
            )
        return cls(users)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the ids in order."""
        return hashlib.sha256("\n".join(self.ids).encode()).hexdigest()


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"users: {path} is not a readable text file ({error})") from None
    lines = text.replace("\r\n", "\n").removesuffix("\n")
    return lines.split("\n") if lines else []
