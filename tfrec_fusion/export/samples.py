"""Example requests for any signature of an export, from the ids it knows and some it does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.config import read_json
from tfrec_fusion.data import Vocabulary
from tfrec_fusion.errors import InputError
from tfrec_fusion.export.model_card import CARD

_UNKNOWN = "an id that is not in the export"
_WIDTH = 8  # of lists
_K = 10


class Samples:
    """Draws inputs for the signatures of a version, the same ones each time.

    Lists of ids start with "", as TF Serving's padding needs; the first user is known and the
    second is not, and one of eight ids in lists is unknown.

    Args:
      version: the version's folder, with its assets and card.
    """

    def __init__(self, version: Path):
        self._random = np.random.default_rng(0)
        self._users = Vocabulary.load(version / "assets" / "users.txt").ids
        self._items = Vocabulary.load(version / "assets" / "items.txt").ids
        card = read_json(version / CARD, "export")
        self._features = {
            name: described.get("features", {}) for name, described in card["signatures"].items()
        }

    def inputs(self, signature: str, specs: dict[str, tf.TensorSpec], batch: int) -> dict:
        """Input name -> array of `batch` rows.

        An input of another name than those below gets what changes nothing by the rule of the
        signatures: "", NaN, 0 or False.
        """
        return {name: self._value(signature, name, spec, batch) for name, spec in specs.items()}

    def _value(self, signature: str, name: str, spec: tf.TensorSpec, batch: int):
        if spec.shape.rank is None or (spec.shape.rank and spec.shape[0] not in (None, batch)):
            raise InputError(
                f"export: signature {signature!r}: input {name!r} must have a free first "
                f"dimension. Received: {spec.shape}"
            )
        shape = [batch, *(_WIDTH if size is None else size for size in spec.shape[1:])]
        shape = shape[: spec.shape.rank]
        if name == "inputs" and spec.dtype == tf.string and self._features.get(signature):
            return np.array(list(self._examples(self._features[signature], batch)), object)
        if name == "user_id":
            return self._user_ids(batch)
        if name in ("history", "exclude", "item_id") and spec.dtype == tf.string:
            return self._item_ids(shape)
        if name == "k":
            return np.full(shape, _K, spec.dtype.as_numpy_dtype)
        if spec.dtype == tf.string:
            return np.full(shape, "", object)
        neutral = np.nan if spec.dtype.is_floating else 0
        return np.full(shape, neutral, spec.dtype.as_numpy_dtype)

    def _user_ids(self, batch: int) -> np.ndarray:
        drawn = self._draw(self._users, [batch])
        drawn[1::4] = _UNKNOWN
        return drawn

    def _item_ids(self, shape) -> np.ndarray:
        drawn = self._draw(self._items, shape)
        flat = drawn.reshape(-1)
        flat[7::8] = _UNKNOWN
        if len(shape) > 1:
            drawn[:, 0] = ""
        return drawn

    def _draw(self, ids: np.ndarray, shape) -> np.ndarray:
        if len(ids) == 0:
            return np.full(shape, _UNKNOWN, object)
        return ids[self._random.integers(0, len(ids), shape)].astype(object)

    def _examples(self, features: dict[str, str], batch: int) -> Iterator[bytes]:
        """Serialized `tf.train.Example`s; `features` maps name -> "string [H]", "float []"..."""
        users, items = self._user_ids(batch), self._item_ids([batch])
        for user, item in zip(users, items, strict=True):
            found = {}
            for name, described in features.items():
                if name == "user_id":
                    found[name] = _bytes([user])
                elif name == "item_id":
                    found[name] = _bytes([item])
                elif name == "history":
                    found[name] = _bytes(self._item_ids([_WIDTH]))
                elif described.startswith("string"):
                    found[name] = _bytes([""])
                else:
                    found[name] = tf.train.Feature(float_list=tf.train.FloatList(value=[0.0]))
            example = tf.train.Example(features=tf.train.Features(feature=found))
            yield example.SerializeToString()


def _bytes(values) -> tf.train.Feature:
    encoded = [str(value).encode() for value in values]
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=encoded))
