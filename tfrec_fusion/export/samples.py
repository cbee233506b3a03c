"""Example requests for any signature of an export, with known and unknown ids."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from tfrec_fusion._compat import tf
from tfrec_fusion.config import read_json
from tfrec_fusion.data import Vocabulary
from tfrec_fusion.errors import InputError
from tfrec_fusion.export.exporter import TITLES
from tfrec_fusion.export.model_card import CARD
from tfrec_fusion.signature import Signature, Tensor, neutral

_UNKNOWN = "an id that is not in the export"
_WIDTH = 8  # of lists
_K = 10


class Samples:
    """Draws reproducible inputs for the signatures of a version.

    Lists of ids start with the padding "", as TF Serving needs, and those of ages with NaN; the
    first user is known and the second is not; one of eight item ids is unknown.

    Args:
      version: the version's folder, with its assets and card.
    """

    def __init__(self, version: Path):
        self._random = np.random.default_rng(0)
        self._users = Vocabulary.load(version / "assets" / "users.txt").ids
        self._items = Vocabulary.load(version / "assets" / "items.txt").ids
        card = read_json(version / CARD, "export")
        self._signatures = Signature.from_card(card)
        self._version, self._dims = version, card.get("query_dims", 0)

    def kinds(self, signature: str) -> dict[str, str]:
        """Input -> its kind (`Tensor.kind`), for those in the card."""
        return self._signatures[signature].kinds if signature in self._signatures else {}

    def inputs(self, signature: str, specs: dict[str, tf.TensorSpec], batch: int) -> dict:
        """Input name -> array of `batch` rows, drawn by the input's kind.

        Inputs without a kind and those that only restrict the answer get their neutral value.
        """
        kinds = self.kinds(signature)
        return {
            name: self._value(signature, name, spec, batch, kinds.get(name, ""))
            for name, spec in specs.items()
        }

    def _value(self, signature: str, name: str, spec: tf.TensorSpec, batch: int, kind: str):
        if spec.shape.rank is None or (spec.shape.rank and spec.shape[0] not in (None, batch)):
            raise InputError(
                f"export: signature {signature!r}: input {name!r} must have a free first "
                f"dimension. Received: {spec.shape}"
            )
        shape = [batch, *(_WIDTH if size is None else size for size in spec.shape[1:])]
        shape = shape[: spec.shape.rank]
        if kind == "example":
            features = self._signatures[signature].features
            return np.array(list(self._examples(features, batch)), object)
        if kind == "user":
            return self._user_ids(shape)
        if kind == "item":
            return self._item_ids(shape)
        if kind == "age":
            return self._ages(shape)
        if kind == "query":
            return self._queries(shape)
        if kind == "vector":
            return self._random.normal(size=[batch, self._dims]).astype(np.float32)
        if kind == "count":
            return np.full(shape, _K, spec.dtype.as_numpy_dtype)
        dtype = object if spec.dtype == tf.string else spec.dtype.as_numpy_dtype
        return np.full(shape, neutral(spec.dtype.name), dtype)

    def _user_ids(self, shape) -> np.ndarray:
        drawn = self._draw(self._users, shape)
        drawn[1::4] = _UNKNOWN
        return drawn

    def _item_ids(self, shape) -> np.ndarray:
        drawn = self._draw(self._items, shape)
        flat = drawn.reshape(-1)
        flat[7::8] = _UNKNOWN
        if len(shape) > 1:
            drawn[:, 0] = ""
        return drawn

    def _queries(self, shape) -> np.ndarray:
        titles = pd.read_parquet(self._version / TITLES, columns=["title"])["title"]
        words = [" ".join(title.split()[:2]) for title in titles]
        return self._draw(np.array(words, object), shape)

    def _ages(self, shape) -> np.ndarray:
        drawn = self._random.exponential(30.0, shape).astype(np.float32)
        drawn[..., 0] = np.nan
        return drawn

    def _draw(self, ids: np.ndarray, shape) -> np.ndarray:
        if len(ids) == 0:
            return np.full(shape, _UNKNOWN, object)
        return ids[self._random.integers(0, len(ids), shape)].astype(object)

    def _examples(self, features: Sequence[Tensor], batch: int) -> Iterator[bytes]:
        """Serialized `tf.train.Example`s."""
        users, items = self._user_ids([batch]), self._item_ids([batch])
        for user, item in zip(users, items, strict=True):
            found = {}
            for feature in features:
                if feature.kind == "user":
                    value = _bytes([user])
                elif feature.kind == "item":
                    value = _bytes(self._item_ids([_WIDTH]) if feature.sizes else [item])
                elif feature.dtype == "string":
                    value = _bytes([""])
                else:
                    value = tf.train.Feature(float_list=tf.train.FloatList(value=[0.0]))
                found[feature.name] = value
            example = tf.train.Example(features=tf.train.Features(feature=found))
            yield example.SerializeToString()


def _bytes(values) -> tf.train.Feature:
    encoded = [str(value).encode() for value in values]
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=encoded))
