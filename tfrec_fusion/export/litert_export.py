"""Converts an exported ranker to LiteRT."""

from __future__ import annotations

import os
import re
import shutil
import warnings
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from tfrec_fusion._compat import tf
from tfrec_fusion.config import read_json
from tfrec_fusion.data import Vocabulary
from tfrec_fusion.errors import InputError
from tfrec_fusion.export.agreement import difference
from tfrec_fusion.export.model_card import CARD
from tfrec_fusion.export.samples import Samples
from tfrec_fusion.export.saved_signatures import signature_specs
from tfrec_fusion.export.versions import latest_version
from tfrec_fusion.features.row_encoder import RowEncoder
from tfrec_fusion.features.spec import DataSpec
from tfrec_fusion.files import new_folder
from tfrec_fusion.models.towers.request_context import RENAMED
from tfrec_fusion.paths import local_path

MODEL = "ranker.tflite"
_BATCHES = (5, 1)
_EVENTS = "history_event"
_ROWS_OF = {"user_id": "user", "item_id": "item"}


def export_litert(version: str | os.PathLike, path: str | os.PathLike) -> Path:
    """Writes a folder with `ranker.tflite` and the vocabularies of its inputs.

    LiteRT has no string lookup tables, so the model takes row numbers: the line, from 0, of an id
    in `users.txt` or `items.txt`, or of a context's text in `<input>.txt`; -1 is an unknown one.
    Of these inputs it has those that the ranker reads:

        item         int32 [B, N]
        user         int32 [B]
        history      int32 [B, H], distinct items, padded with -1; the model stores no histories
        history_age  float32 [B, H], days since each event
        <input>      context, named as in requests: float32 [B] numbers, NaN if not given; int64 [B]
                     whole unix seconds, the least int64 if not given; int32 [B] rows of texts, -2
                     if not given; int32 [B, T] rows of tags, padded with -1

    `RowEncoder` describes the context's inputs, those of hashed texts too. Features of users are
    those that the version stores.

    The outputs are those of the version's `score`: `score` and `probability`, float32 [B, N], and
    the predictions of heads. B, N and H are free, but none may be 0. The model uses only LiteRT's
    built-in operations. It is written only if its answers to example requests equal the
    SavedModel's `score` within 1e-5. The folder appears only when it is complete.

    Args:
      version: the folder of a `Ranker`'s version, or a folder of versions, whose highest is used.
      path: the folder to write; its content is replaced.

    Returns:
      The path of the model.

    Raises:
      InputError: no version there, a version of another model, of one that reads features of past
        events, or of an earlier release, texts of the context with line breaks, operations that
        LiteRT lacks, or answers that differ from the SavedModel's.

    Example:
      >>> ranker = tff.models.Ranker(split.train, dim=4, hidden=[4])
      >>> version = tff.export.export(ranker, split.train, "saved_models/ranker")
      >>> export_litert("saved_models/ranker", "litert/ranker")
      PosixPath('litert/ranker/ranker.tflite')
    """
    path, version = local_path(path, "litert"), latest_version(version)
    loaded = tf.saved_model.load(str(version))
    if not hasattr(loaded, "by_row"):
        raise InputError(
            "export: litert: only a ranker can be converted, as LiteRT has no string lookup tables "
            "and only a ranker's export has a function without them; export a Ranker with this "
            f"release. Received: {version}"
        )
    if _EVENTS in _inputs(loaded):
        raise InputError(
            "export: litert: the ranker reads features of past events, which a request by rows "
            f"cannot give; convert a ranker without them, or use ONNX. Received: {version}"
        )
    context = _context(version)
    model = _converted(loaded)
    apart = _difference(version, loaded, model, context)
    if apart:
        raise InputError(
            f"export: litert: the converted model's answers differ from those of {version}: {apart}"
        )
    with new_folder(path) as folder:
        (folder / MODEL).write_bytes(model)
        shutil.copy(version / "assets" / "items.txt", folder)
        if "user" in _inputs(loaded):
            shutil.copy(version / "assets" / "users.txt", folder)
        for name, texts in ({} if context is None else context.vocabularies).items():
            Vocabulary(texts).save(folder / f"{name}.txt")
    return Path(path) / MODEL


def _inputs(loaded) -> dict[str, tf.TensorSpec]:
    return loaded.by_row.structured_input_signature[1]


def _converted(loaded) -> bytes:
    converter = tf.lite.TFLiteConverter.from_concrete_functions([loaded.by_row], loaded)
    try:
        return converter.convert()
    except Exception as error:  # its class is not public
        lacking = re.findall(r"^(?:TF Select|Custom) ops: (.+)$", str(error), re.MULTILINE)
        reason = f"has no operation for {', '.join(lacking)}" if lacking else "cannot convert it"
        raise InputError(f"export: litert: LiteRT {reason}") from error


def _context(version: Path) -> RowEncoder | None:
    """Encodes the context of requests in rows; None if the ranker reads none."""
    try:
        spec = DataSpec.model_validate(read_json(version / CARD, "export")["data_spec"])
    except (KeyError, ValidationError):
        raise InputError(
            f"export: litert: {version} was written by an earlier release; export the model again"
        ) from None
    if spec.context_side is None:
        return None
    encoder = RowEncoder(spec.context_side, RENAMED)
    for name, texts in encoder.vocabularies.items():
        broken = [text for text in texts if "\n" in text or "\r" in text]
        if broken:
            raise InputError(
                f"export: litert: {len(broken)} texts of the context's {name!r} hold line breaks, "
                f"and {name}.txt has one text a line; replace them and train again. "
                f"Received: {broken[0]!r}"
            )
    return encoder


def _difference(version: Path, loaded, model: bytes, context: RowEncoder | None) -> str:
    """How the model differs from the SavedModel's `score`; "" if it does not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a hint to install the interpreter as its own package
        runner = tf.lite.Interpreter(model_content=model).get_signature_runner()
    vocabularies = {
        name: Vocabulary.load(version / "assets" / f"{name}s.txt") for name in ("user", "item")
    }
    vocabularies["history"] = vocabularies["item"]
    inputs, _ = signature_specs(version)["score"]
    for batch in _BATCHES:
        for given in (False, True):
            request = Samples(version).inputs("score", inputs, batch)
            more = {} if context is None else _context_values(context, request, given)
            request |= more
            expected = loaded.signatures["score"](**{n: tf.constant(v) for n, v in request.items()})
            rows = {
                _ROWS_OF.get(name, name): value
                for name, value in request.items()
                if name not in more
            }
            rows = {
                n: _rows(v, vocabularies[n]) if n in vocabularies else v for n, v in rows.items()
            }
            history = rows["history"]
            ages = np.nan_to_num(rows.get("history_age", np.zeros(history.shape, np.float32)))
            oldest_first = np.argsort(-ages, 1, kind="stable")
            rows["history"] = _first_of_each(np.take_along_axis(history, oldest_first, 1))
            rows["history_age"] = np.take_along_axis(ages, oldest_first, 1)
            rows |= {} if context is None else context.rows_of(request)
            answer = runner(**{name: rows[name] for name in _inputs(loaded)})
            apart = difference(answer, {n: value.numpy() for n, value in expected.items()})
            if apart:
                return apart
    return ""


def _context_values(context: RowEncoder, request: dict, given: bool) -> dict[str, np.ndarray]:
    """Values of a context for the request: known texts, the number 1 and a time, or none."""
    found = {}
    for one, names in context.requested:
        for name in names.values():
            like = request[name]
            if given and one.reads == "number":
                found[name] = np.ones_like(like)
            elif given and one.reads == "time":
                found[name] = np.full_like(like, 1_700_000_000)
            elif given:
                texts = one.vocabulary or ("a",)
                found[name] = np.full(like.shape, texts[0], object)
            else:
                found[name] = like
    return found


def _rows(ids: np.ndarray, vocabulary: Vocabulary) -> np.ndarray:
    return vocabulary.rows(ids.reshape(-1)).reshape(ids.shape)


def _first_of_each(rows: np.ndarray) -> np.ndarray:
    """Rows `[B, H]`, where repetitions of an earlier row become -1."""
    earlier = np.tril(rows[:, :, None] == rows[:, None, :], -1)
    return np.where(earlier.any(2), -1, rows).astype(np.int32)
