"""Reads TF Serving's log of requests, TFRecord files of `PredictionLog`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tfrec_fusion._compat import optional, tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.signature import RANKED

_EXTRA = "serving"
_KINDS = ("predict", "classify", "regress")
_ITEM_LISTS = ("item_id", "exclude", "include")
_DEFAULT_K = 100


def prediction_log_rows(path: Path) -> list[tuple[int, dict]]:
    """Reads a TFRecord file of `PredictionLog`s; returns (record number, row) for each user.

    A row has the columns described in `read_requests` and the request's other inputs with one
    value per user. Bytes that are not UTF-8 are decoded with replacement characters.

    Raises:
      InputError: the file or a record is invalid; names the file and the record.
      ImportError: the extra `serving` is not installed.
    """
    apis = optional("tensorflow_serving.apis.prediction_log_pb2", _EXTRA)
    from google.protobuf.message import DecodeError

    rows, number = [], 0
    try:
        for number, record in enumerate(tf.data.TFRecordDataset(str(path)).as_numpy_iterator(), 1):
            where = f"monitor: {path}: record {number}"
            try:
                log = apis.PredictionLog.FromString(record)
            except DecodeError:
                raise InputError(f"{where} is not a PredictionLog") from None
            rows += [(number, row) for row in _rows(log, where)]
    except tf.errors.DataLossError:
        raise InputError(
            f"monitor: {path} is not a valid TFRecord file after {number} records; a log "
            "in another format must end in .parquet or .jsonl"
        ) from None
    return rows


def _rows(log, where: str) -> Iterator[dict]:
    kind = (log.WhichOneof("log_type") or "").removesuffix("_log")
    if kind not in _KINDS:
        raise InputError(
            f"{where}: log_type must be one of {[f'{name}_log' for name in _KINDS]}. "
            f"Received: {kind!r}"
        )
    logged = getattr(log, f"{kind}_log")
    answered = logged.HasField("response")
    spec = logged.request.model_spec
    # The last one is the version that answered, even if the request left the choice to the server.
    specs = [log.log_metadata.model_spec, spec, *([logged.response.model_spec] if answered else [])]
    versions = [one.version.value for one in specs if one.HasField("version")]
    common = {
        "time": float(log.log_metadata.timestamp_secs) or float("nan"),
        "signature": spec.signature_name or "serving_default",
        "version": float(versions[-1]) if versions else float("nan"),
    }
    read = _predicted if kind == "predict" else _by_example
    for row in read(logged, answered, where):
        yield common | row


def _predicted(logged, answered: bool, where: str) -> Iterator[dict]:
    inputs = _arrays(logged.request.inputs, where)
    outputs = _arrays(logged.response.outputs, where) if answered else {}
    arrays = {**inputs, **{f"response {name}": value for name, value in outputs.items()}}
    sizes = {name: len(value) for name, value in arrays.items() if value.ndim}
    if len(set(sizes.values())) > 1 or len(sizes) < len(arrays):
        sizes = {name: sizes.get(name) for name in arrays}
        raise InputError(f"{where}: all tensors must have the same first dimension: {sizes}")
    ranked = logged.request.model_spec.signature_name in ("", *RANKED)
    ranked = ranked and "item_id" not in inputs
    for row in range(next(iter(sizes.values()), 0)):
        found = {
            name: _plain(value[row])
            for name, value in inputs.items()
            if value.ndim == 1 and name not in (*_ITEM_LISTS, "time")  # the log's own time counts
        }
        if ranked:
            found.setdefault("k", float(_DEFAULT_K))
        if "history" in inputs:
            found["history"] = _texts(inputs["history"][row])
        lists = [inputs[name][row] for name in _ITEM_LISTS if name in inputs]
        found["items"] = [text for ids in lists for text in _texts(ids)]
        if "item_id" in outputs:
            found["item_ids"] = _texts(outputs["item_id"][row])
        if "score" in outputs:
            found["scores"] = np.atleast_1d(outputs["score"][row]).astype(float)
        yield found


def _by_example(logged, answered: bool, where: str) -> Iterator[dict]:
    examples = logged.request.input.example_list.examples
    results = []
    if answered:
        result = logged.response.result
        results = getattr(result, "classifications", None) or getattr(result, "regressions", [])
        if len(results) != len(examples):
            raise InputError(
                f"{where}: the response must have one result for each of the {len(examples)} "
                f"examples. Received: {len(results)}"
            )
    for row, example in enumerate(examples):
        values = {name: _feature(value) for name, value in example.features.feature.items()}
        found = {name: value[0] for name, value in values.items() if len(value) == 1}
        found |= {"history": values.get("history", []), "items": values.get("item_id", [])}
        # The log's own time is when it was asked; the input is the time to score for.
        for name in ("item_id", "time"):
            found.pop(name, None)
        if answered:
            found["scores"] = [_logit(_probability(results[row]))]
        yield found


def _arrays(tensors, where: str) -> dict[str, np.ndarray]:
    found = {}
    for name, tensor in tensors.items():
        try:
            found[name] = tf.make_ndarray(tensor)
        except (TypeError, ValueError) as error:
            raise InputError(f"{where}: {name} is not a tensor: {error}") from None
    return found


def _feature(feature) -> list:
    kind = feature.WhichOneof("kind")
    values = getattr(feature, kind).value if kind else []
    return [_plain(value) for value in values]


def _plain(value):
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value.item() if isinstance(value, np.generic) else value


def _texts(values) -> list[str]:
    return [_plain(value) for value in np.atleast_1d(values)]


def _probability(result) -> float:
    if hasattr(result, "value"):
        return result.value
    return next((one.score for one in result.classes if one.label == "1"), float("nan"))


def _logit(probability: float) -> float:
    """Logit of a probability, which is clipped so that rounding to 0 or 1 gives no infinity."""
    probability = min(max(probability, 1e-38), 1 - 6e-8)
    return math.log(probability) - math.log1p(-probability)
