"""The vocabularies that the rows of a dataset of batches are of."""

from __future__ import annotations

from typing import Any

from tfrec_fusion._compat import tf
from tfrec_fusion.data.interactions import Interactions
from tfrec_fusion.errors import InputError

_NOTE = "tfrec_fusion:"


def made_from(events: Interactions, batches: tf.data.Dataset) -> tf.data.Dataset:
    """Returns batches that are known to be made from `events`, for `check_made_from`.

    Batches hold rows, which fit any vocabulary of their size. So the fingerprints are an option of
    the dataset, one that TensorFlow passes on through take, map, zip and the like, and only counts.
    """
    options = tf.data.Options()
    options.framework_type = [
        f"{_NOTE}{events.catalogue.vocabulary.fingerprint}:{events.users.fingerprint}"
    ]
    return batches.with_options(options)


def check_made_from(where: str, batches: Any, model: Any) -> None:
    """Raises InputError if batches are known to be of other items than a model's.

    Or of other users, if it reads their ids; not if it reads their features too, as further users
    may then follow those of training.
    """
    if not isinstance(batches, tf.data.Dataset):
        return
    reads_users = model.reads_user_ids and model.spec.user_side is None
    for note in batches.options().framework_type or ():
        if note.startswith(_NOTE):
            items, users = note.removeprefix(_NOTE).split(":")
            try:
                model.spec.check_vocabularies(items, users if reads_users else None)
            except InputError as error:
                raise InputError(f"{where}: {error}") from None
