"""Reads the signatures of a saved version without loading it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pool, message_factory

from tfrec_fusion._compat import tf
from tfrec_fusion.export.versions import GRAPH

_CONTROL = "__saved_model_"


def signature_specs(version: Path) -> dict[str, tuple[dict, dict]]:
    """Signature -> (inputs, outputs), each a dict from name to `tf.TensorSpec`."""
    pool = descriptor_pool.Default()
    saved: Any = message_factory.GetMessageClass(
        pool.FindMessageTypeByName("tensorflow.SavedModel")
    )
    graph = saved.FromString((version / GRAPH).read_bytes()).meta_graphs[0]
    return {
        name: (_specs(signature.inputs), _specs(signature.outputs))
        for name, signature in sorted(graph.signature_def.items())
        if not name.startswith(_CONTROL)
    }


def _specs(infos) -> dict[str, tf.TensorSpec]:
    return {
        name: tf.TensorSpec(info.tensor_shape, tf.as_dtype(info.dtype), name)
        for name, info in sorted(infos.items())
    }
