"""Loads the inputs of a run's config, and records and checks their hashes."""

from __future__ import annotations

import hashlib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tfrec_fusion.data import Catalogue, Interactions, Split, UserTable
from tfrec_fusion.errors import InputError
from tfrec_fusion.paths import local_path
from tfrec_fusion.training.config import RunConfig
from tfrec_fusion.training.config_sections import DataConfig, Recorded

_PACKAGES = (
    "tfrec-fusion",
    "tensorflow",
    "tf-keras",
    "tensorflow-recommenders",
    "numpy",
    "pandas",
    "pyarrow",
    "scipy",
)


def load_split(config: RunConfig) -> Split:
    """Reads, checks and splits the data of a config.

    Raises:
      InputError: a table, a vector store or an option of the split is invalid.
    """
    events = load_events(config.data)
    return events.split(**config.split.model_dump())


def load_events(data: DataConfig) -> Interactions:
    """Reads and checks the tables and vectors that `data` names.

    Raises:
      InputError: a table or a vector store is invalid.
    """
    if data.user_vectors and data.users is None:
        raise InputError(
            "data.user_vectors: vectors of users need a table of users; pass --users or "
            f"data.users. Received: {data.user_vectors}"
        )
    return Interactions.from_file(
        data.interactions,
        load_items(data),
        min_rating=data.min_rating,
        low_ratings=data.low_ratings,
        unknown_items=data.unknown_items,
        duplicates=data.duplicates,
        repeats=data.repeats,
        event_weights=data.event_weights,
        nulls=data.nulls,
        columns=data.columns,
        timestamp_unit=data.timestamp_unit,
        stray_times=data.stray_times,
        users=None if data.users is None else load_users(data, data.users),
        vectors=data.event_vectors or None,
        labels=data.labels,
    )


def load_users(data: DataConfig, path: str) -> UserTable:
    """Reads and checks the table of users and their vectors.

    Raises:
      InputError: a column or a vector store is invalid.
    """
    columns = {name: column for name, column in data.columns.items() if name == "user_id"}
    columns |= data.user_columns
    return UserTable.from_file(path, data.user_vectors, columns=columns, lists=data.user_lists)


def load_items(data: DataConfig) -> Catalogue:
    """Reads and checks the items and vectors that `data` names.

    Raises:
      InputError: a column or a vector store is invalid.
    """
    columns = {name: column for name, column in data.columns.items() if name == "item_id"}
    return Catalogue.from_file(
        data.items,
        data.vectors,
        columns=columns | data.item_columns,
        lists=data.lists,
        numbers=data.numbers,
    )


def record(data: DataConfig) -> Recorded:
    """Returns the hashes of the files that `data` names, and the versions of key packages."""
    named = {"interactions": data.interactions, "items": data.items}
    if data.users is not None:
        named["users"] = data.users
    named |= {f"vectors.{name}": path for name, path in data.vectors.items()}
    named |= {f"user_vectors.{name}": path for name, path in data.user_vectors.items()}
    named |= {f"event_vectors.{name}": path for name, path in data.event_vectors.items()}
    paths = {name: local_path(path, name) for name, path in named.items()}
    inputs = {}
    for name, path in paths.items():
        if not path.exists():
            raise InputError(f"{name}: no such file or folder. Received: {path}")
        inputs[name] = _digest(path)
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return Recorded(inputs=inputs, versions=versions)


def check_inputs(then: Recorded, now: Recorded) -> None:
    """Raises InputError if an input's content differs from the recorded hash."""
    for name, digest in then.inputs.items():
        if name in now.inputs and now.inputs[name] != digest:
            raise InputError(
                f"{name}: the content has changed since the run started (SHA-256 was "
                f"{digest[:12]}, is {now.inputs[name][:12]}); restore it or start another run"
            )


def _digest(path: Path) -> str:
    """SHA-256 of a file's content, or of the names and contents of a folder's files."""
    digest = hashlib.sha256()
    files = [path]
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
    for file in files:
        if file != path:
            digest.update(file.relative_to(path).as_posix().encode() + b"\0")
        with open(file, "rb") as content:
            digest.update(hashlib.file_digest(content, "sha256").digest())
    return digest.hexdigest()
