"""Converts the signatures of an export to ONNX."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from tfrec_fusion._compat import optional, tf
from tfrec_fusion.config import read_json
from tfrec_fusion.data import Vocabulary
from tfrec_fusion.errors import InputError
from tfrec_fusion.export.agreement import difference
from tfrec_fusion.export.model_card import CARD
from tfrec_fusion.export.onnx.conversion import EXTRA, convert
from tfrec_fusion.export.samples import Samples
from tfrec_fusion.export.saved_signatures import signature_specs
from tfrec_fusion.export.versions import latest_version
from tfrec_fusion.files import new_folder
from tfrec_fusion.paths import local_path

_BATCH = 5
_MANY = 5000  # k: all items of most catalogues; for larger k, large ones search another way
_LARGEST = 2**31 - 2**26  # a protocol buffer's 2 GiB, less space for the graph and the ids


def export_onnx(version: str | os.PathLike, path: str | os.PathLike) -> dict[str, str]:
    """Writes `path/<signature>.onnx` for each signature that can be converted.

    Each model has the inputs and outputs of the signature; ids are strings. It is written only if
    onnxruntime's answers to example requests (empty and full batches and lists, known and unknown
    ids) equal the SavedModel's within 1e-5. The folder appears only when it is complete.

    Args:
      version: a version's folder, or a folder of versions, whose highest is used.
      path: the folder to write; its content is replaced.

    Returns:
      Signature -> reason, for those that could not be converted.

    Raises:
      InputError: no version there, or no signature can be converted.
      ImportError: the extra `onnx` is not installed.

    Example:
      >>> left_out = export_onnx("saved_models/shop", "onnx/shop")
    """
    path, version = local_path(path, "onnx"), latest_version(version)
    runtime = optional("onnxruntime", EXTRA)
    runtime.set_default_logger_severity(4)  # its errors are also raised as exceptions
    loaded = tf.saved_model.load(str(version))
    signatures, left_out = signature_specs(version), {}
    with new_folder(path) as folder:
        for name, (inputs, _) in signatures.items():
            function = loaded.signatures[name]
            reason, model = _too_large(function), b""
            if not reason:
                # Each from a load of its own: of one load, two signatures may name functions alike.
                reason, model = convert(tf.saved_model.load(str(version)), name)
            if not reason:
                requests = _requests(version, name, inputs)
                reason = _difference(runtime, model, function, requests)
            if reason:
                left_out[name] = reason
            else:
                (folder / f"{name}.onnx").write_bytes(model)
        if len(left_out) == len(signatures):
            raise InputError(f"export: onnx: no signature can be converted: {left_out}")
    return left_out


def _too_large(function) -> str:
    size = sum(v.dtype.size * v.shape.num_elements() for v in function.graph.variables)
    if size <= _LARGEST:
        return ""
    return f"it reads {size / 2**30:.1f} GiB of variables, and an ONNX file holds at most 2 GiB"


def _requests(version: Path, signature: str, inputs: dict) -> list[dict[str, np.ndarray]]:
    """Example requests of all kinds: input name -> array."""
    samples = Samples(version)
    usual, kinds = samples.inputs(signature, inputs, _BATCH), samples.kinds(signature)

    def of_kind(kind):
        return [name for name in usual if kinds.get(name) == kind]

    lists = [name for name, value in usual.items() if value.ndim > 1]
    bare = {n: value[:, :0] if n in lists else value for n, value in usual.items()}
    choices = read_json(version / CARD, "export").get("choices", {})
    neutral = {n: v for n, v in usual.items() if _is_neutral(v)}
    given = usual | {n: _value(version, n, v, choices.get(n)) for n, v in neutral.items()}
    free = given | {n: given[n][:, :0] for n in of_kind("choice")}
    found = [usual, bare, given, free]
    found += [{name: value[:0] for name, value in request.items()} for request in (usual, bare)]
    for user in of_kind("user"):
        strangers = bare | {user: np.full(_BATCH, "nobody", object)}
        found += [strangers, {name: value[:1] for name, value in strangers.items()}]
    for count in of_kind("count"):
        found += [free | {count: np.full_like(usual[count], k)} for k in (0, 1, _MANY)]
    return found


def _is_neutral(value: np.ndarray) -> bool:
    if value.dtype == object:
        return bool((value == "").all())
    return bool(np.isnan(value).all() if value.dtype.kind == "f" else not value.any())


def _value(version: Path, name: str, like: np.ndarray, choices: list[str] | None) -> np.ndarray:
    """A value that has an effect, for an input whose sample value changes nothing."""
    if like.dtype != object:
        return np.ones_like(like)
    known = version / "assets" / f"filter_{name}.txt"
    texts = [*Vocabulary.load(known).ids] if known.exists() else choices or ["a text"]
    return np.resize(np.array([*texts, "", "unknown"], object), like.shape)


def _difference(runtime, model: bytes, function, requests: list[dict[str, np.ndarray]]) -> str:
    """How the model differs from the SavedModel's function on the requests; "" if it does not."""
    try:
        session = runtime.InferenceSession(model, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        answers = [session.run(names, request) for request in requests]
    except Exception as error:  # onnxruntime's exceptions have no common class
        return f"onnxruntime cannot run it: {' '.join(str(error).split())}"
    for request, answer in zip(requests, answers, strict=True):
        given = {name: tf.constant(value, _dtype(value)) for name, value in request.items()}
        expected = {name: value.numpy() for name, value in function(**given).items()}
        found = difference(dict(zip(names, answer, strict=True)), expected)
        if found:
            return found
    return ""


def _dtype(value: np.ndarray) -> tf.DType:
    return tf.string if value.dtype == object else tf.as_dtype(value.dtype)
