"""Writes and reads the files of a vector store's folder, and checks them against the manifest."""

import json
import os
import tempfile
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ValidationError

from tfrec_fusion.config import distinct_keys
from tfrec_fusion.embeddings.arrays import CHUNK_ROWS, DTYPES, check_unchanged, load_npy, quantize
from tfrec_fusion.embeddings.hashing import HashingWriter, file_hash
from tfrec_fusion.embeddings.ids import check_ids
from tfrec_fusion.embeddings.manifest import FORMAT, Manifest
from tfrec_fusion.embeddings.steps import RecordedStep, read_steps
from tfrec_fusion.errors import InputError
from tfrec_fusion.files import current_folder
from tfrec_fusion.paths import local_path

VECTORS, SCALE, IDS = "vectors.npy", "scale.npy", "ids.txt"
TEXT_HASHES, MANIFEST = "text_hashes.txt", "manifest.json"


@dataclass(frozen=True, eq=False)
class StoreContent:
    """Content of a store: ids, raw stored vectors, for int8 the scale of each row, and steps."""

    ids: pa.Array
    vectors: np.ndarray
    scale: np.ndarray | None = None
    text_hashes: list[str] | None = None
    manifest: Manifest | None = None
    steps: tuple[RecordedStep, ...] = ()

    def raw(self, rows: np.ndarray) -> np.ndarray:
        """Raw vectors of rows ``[n]`` as floats ``[n, dims]``."""
        check_unchanged(self.vectors)
        chunk = self.vectors[rows]
        return chunk if self.scale is None else chunk * self.scale[rows, None]


def write_store(folder: Path | None, content: StoreContent, dtype: str, **origin) -> Manifest:
    """Writes the files of a store into an empty folder; with None only computes the manifest.

    Vectors are copied in chunks, so a memory-mapped source need not fit in memory.
    """
    rows, dims = content.vectors.shape
    scales: list[np.ndarray] = []
    files = {
        VECTORS: _write_array(folder, VECTORS, (rows, dims), dtype, _stored(content, dtype, scales))
    }
    if dtype == "int8":
        files[SCALE] = _write_array(folder, SCALE, (rows,), "float32", scales)
    files[IDS] = _write_lines(folder, IDS, content.ids.to_pylist())
    if content.text_hashes is not None:
        files[TEXT_HASHES] = _write_lines(folder, TEXT_HASHES, content.text_hashes)
    files |= _write_steps(folder, content.steps)
    if content.steps:
        origin["steps"] = tuple(step.record for step in content.steps)
    created = datetime.now(UTC).isoformat(timespec="seconds")
    manifest = Manifest.build(created, rows=rows, dims=dims, dtype=dtype, files=files, **origin)
    if folder is not None:
        (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return manifest


def read_store(path, verify: bool) -> StoreContent:
    """Reads a store's folder, with memory-mapped vectors.

    Raises:
        InputError: not a store, a missing file, or files that do not match the manifest.
    """
    path = local_path(path, "vector store")
    folder, name = current_folder(path), os.fspath(path)
    manifest = _read_manifest(folder, name)
    needed = [VECTORS, IDS] + [SCALE] * (manifest.dtype == "int8")
    needed += [str(step.get("file")) for step in manifest.steps]
    for file in sorted({*needed, *manifest.files}):
        if file not in manifest.files or not (folder / file).is_file():
            where = "the folder" if file in manifest.files else "the manifest"
            raise InputError(
                f"vector store {name!r}: {file!r} is missing from {where}; write the store again. "
                f"Received: {sorted(os.listdir(folder))}"
            )
    vectors = load_npy(folder / VECTORS)
    ids = pa.array(_read_lines(folder / IDS), pa.large_string())
    _compare(name, "dtype of the vectors", manifest.dtype, vectors.dtype.name)
    _compare(name, "shape of the vectors", (manifest.rows, manifest.dims), vectors.shape)
    _compare(name, "number of ids", manifest.rows, len(ids))
    scale = hashes = None
    if SCALE in manifest.files:
        scale = load_npy(folder / SCALE)
        _compare(name, "shape of the scale", (manifest.rows,), scale.shape)
    if TEXT_HASHES in manifest.files:
        hashes = _read_lines(folder / TEXT_HASHES)
        _compare(name, "number of text hashes", manifest.rows, len(hashes))
    _compare(name, "fingerprint", manifest.fingerprint, manifest.content_hash())
    if verify:
        for file, expected in sorted(manifest.files.items()):
            _compare(name, f"checksum of {file}", expected, file_hash(folder / file))
    check_ids(ids, f"ids of vector store {name!r}")
    steps = read_steps(folder, manifest.steps, name)
    return StoreContent(ids, vectors, scale, hashes, manifest, steps)


def refuse_foreign(path) -> None:
    """Raises InputError unless ``path`` is free, an empty folder or a store."""
    path = local_path(path, "vector store")
    if path.is_dir():
        if (path / MANIFEST).is_file() or not any(path.iterdir()):
            return
    elif not path.exists():
        return
    raise InputError(
        f"vector store: {os.fspath(path)!r} exists and is not a vector store, so it is not "
        f"replaced; choose another path. Received: a {'folder' if path.is_dir() else 'file'}"
    )


def check_text_hashes(hashes: Iterable[str] | None, rows: int) -> list[str] | None:
    """Checks text hashes; returns a list of lower-case hex strings, one per row."""
    if hashes is None:
        return None
    hashes = list(hashes)
    if len(hashes) != rows:
        raise InputError(
            f"text_hashes: must have one hash per id. Received: {len(hashes)} hashes, {rows} ids"
        )
    strings = [value for value in hashes if isinstance(value, str)]
    fits = pc.match_substring_regex(pa.array(strings, pa.string()), "^[0-9a-f]{16,64}$")
    if len(strings) < rows or not pc.all(fits).as_py():
        odd = next(v for v in hashes if not isinstance(v, str) or not _is_hash(v))
        raise InputError(
            f"text_hashes: must be 16 to 64 lower-case hex digits, as text_hash() gives them. "
            f"Received: {odd!r}"
        )
    return hashes


def _is_hash(text: str) -> bool:
    return 16 <= len(text) <= 64 and set(text) <= set("0123456789abcdef")


def _read_manifest(folder: Path, name: str) -> Manifest:
    if not (folder / MANIFEST).is_file():
        what = (
            "a folder without manifest.json"
            if folder.is_dir()
            else ("a file" if folder.exists() else "nothing there")
        )
        raise InputError(
            f"vector store: {name!r} is not a vector store; write one with VectorStore.write. "
            f"Received: {what}"
        )
    try:
        text = (folder / MANIFEST).read_text(encoding="utf-8")
        raw = json.loads(text, object_pairs_hook=distinct_keys)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"vector store {name!r}: manifest.json is not JSON; write the store again. "
            f"Received: {error}"
        ) from None
    try:
        if isinstance(raw, dict) and isinstance(raw.get("format"), int) and raw["format"] > FORMAT:
            raise InputError(
                f"vector store {name!r}: written by a newer version; upgrade tfrec-fusion. "
                f"Received: format {raw['format']}, this version reads up to {FORMAT}"
            )
        manifest = Manifest.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "manifest"
        raise InputError(
            f"vector store {name!r}: manifest.json, key {key!r}: {first['msg']}; write the store "
            f"again. Received: {first['input']!r:.80}"
        ) from None
    if manifest.dtype not in DTYPES:
        raise InputError(
            f"vector store {name!r}: manifest.json, key 'dtype': must be one of "
            f"{', '.join(DTYPES)}. Received: {manifest.dtype!r}"
        )
    return manifest


def _compare(name: str, what: str, expected, found) -> None:
    if expected != found:
        raise InputError(
            f"vector store {name!r}: the {what} does not match manifest.json; write the store "
            f"again. Received: {found}, manifest: {expected}"
        )


def _stored(content: StoreContent, dtype: str, scales: list[np.ndarray]):
    for start in range(0, len(content.vectors), CHUNK_ROWS):
        check_unchanged(content.vectors)
        chunk = content.vectors[start : start + CHUNK_ROWS]
        if dtype == "int8":
            chunk, scale = quantize(np.asarray(chunk, dtype=np.float32))
            scales.append(scale)
        yield chunk


def _write_array(folder, name: str, shape: tuple, dtype: str, chunks) -> str:
    header = {
        "descr": np.lib.format.dtype_to_descr(np.dtype(dtype)),
        "fortran_order": False,
        "shape": shape,
    }
    with _output(folder, name) as file:
        out = HashingWriter(file)
        np.lib.format.write_array_header_1_0(out, header)
        for chunk in chunks:
            out.write(np.ascontiguousarray(chunk, dtype=dtype).tobytes())
    return out.hexdigest()


def _write_steps(folder: Path | None, steps) -> dict[str, str]:
    if not steps:
        return {}
    with nullcontext(folder) if folder else tempfile.TemporaryDirectory() as target:
        for step in steps:
            step.save(Path(target))
        return {
            step.record["file"]: file_hash(Path(target) / step.record["file"]) for step in steps
        }


def _write_lines(folder, name: str, lines: list[str]) -> str:
    with _output(folder, name) as file:
        out = HashingWriter(file)
        out.write("".join(f"{line}\n" for line in lines).encode("utf-8"))
    return out.hexdigest()


def _read_lines(path: Path) -> list[str]:
    try:
        return path.read_bytes().decode("utf-8").split("\n")[:-1]
    except UnicodeDecodeError as error:
        raise InputError(
            f"vector store: {os.fspath(path)!r} is not UTF-8; write the store again. "
            f"Received: {error}"
        ) from None


def _output(folder: Path | None, name: str):
    return nullcontext() if folder is None else open(folder / name, "wb")
