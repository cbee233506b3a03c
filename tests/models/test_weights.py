"""Weights belong to the items, users and features that they were trained on."""

import numpy as np
import pandas as pd
import pytest

from tfrec_fusion._compat import tf
from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.features import Category, Features, State
from tfrec_fusion.models import AlphaRec, Ranker, TwoTower


def _events(items="abcd", users="uvw", **columns):
    catalogue = Catalogue(
        pd.DataFrame({"item_id": list(items), "colour": ["red", "blue", "red", "blue"], **columns}),
        {"text": np.eye(4, dtype=np.float32)},
    )
    pairs = [(user, item) for user in users for item in "abc"]
    return Interactions.from_frame(pd.DataFrame(pairs, columns=["user_id", "item_id"]), catalogue)


def _two_tower(events, **options):
    return TwoTower(events, dim=2, whitening_dim=None, **options)


def _ranker(events, **options):
    options = {"dim": 2, "hidden": [2], "whitening_dim": None} | options
    return Ranker(events, features=Features(item=[Category(column="colour")]), **options)


def _alpha_rec(events, **options):
    return AlphaRec(events, dim=2, hidden=2, whitening_dim=None, **options)


MODELS = {"two_tower": _two_tower, "ranker": _ranker, "alpha_rec": _alpha_rec}


@pytest.mark.parametrize("file", ["w.weights.h5", "w.h5", "checkpoint"])
@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_weights_of_reordered_items_are_refused_and_not_taken(make, file, tmp_path):
    trained = make(_events())
    trained.save_weights(tmp_path / file)
    same = make(_events())
    same.load_weights(tmp_path / file)
    for mine, theirs in zip(same.get_weights(), trained.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    other = make(_events(items="badc"))
    before = other.get_weights()
    with pytest.raises(InputError, match=r"trained with other items .* Received"):
        other.load_weights(tmp_path / file)
    for mine, theirs in zip(other.get_weights(), before, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("make", [_two_tower, _ranker], ids=["two_tower", "ranker"])
def test_users_count_where_their_ids_are_read(make, tmp_path):
    for user in ("id", "history"):
        make(_events(), user=user).save_weights(tmp_path / f"{user}.weights.h5")
    other = _events(users="vuw")
    make(other, user="history").load_weights(tmp_path / "history.weights.h5")
    with pytest.raises(InputError, match="other users"):
        make(other, user="id").load_weights(tmp_path / "id.weights.h5")


def test_features_of_other_names_are_refused(tmp_path):
    _ranker(_events(price=[1.0, 2.0, 3.0, 4.0])).save_weights(tmp_path / "w.weights.h5")
    with pytest.raises(InputError, match="other features"):
        _ranker(_events(age=[1.0, 2.0, 3.0, 4.0])).load_weights(tmp_path / "w.weights.h5")


def test_a_checkpoint_of_other_items_is_refused_when_the_model_is_used(tmp_path):
    path = tf.train.Checkpoint(model=_two_tower(_events())).write(str(tmp_path / "state"))
    events = _events(items="badc")
    model = _two_tower(events)
    tf.train.Checkpoint(model=model).read(path)
    with pytest.raises(InputError, match="other items"):
        model.scorer(State.of(events))
