"""Batches of another catalogue are refused, although their rows would fit."""

import numpy as np
import pytest

from tfrec_fusion._compat import tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.examples import ranking_examples
from tfrec_fusion.models import Ranker, TwoTower

ROWS = [(user, item, second) for second, (user, item) in enumerate(["ua", "ub", "va", "vc", "wb"])]
SMALL = {"dim": 2, "hidden": [2], "cross_layers": 0}
OTHER = "built for other items"


@pytest.fixture(scope="module")
def events(make_events):
    return make_events(ROWS, items="abcde")


@pytest.fixture(scope="module")
def others(make_events):
    """As many items and users, of which the items have other rows."""
    return make_events(ROWS, items="edcba")


@pytest.fixture(scope="module")
def ranker(events):
    model = Ranker(events, **SMALL)
    model.compile("sgd")
    return model


def test_a_ranker_refuses_them(ranker, events, others):
    mine, theirs = (ranking_examples(one, 4, negatives=1) for one in (events, others))
    for call, where in [
        (lambda: ranker.fit(theirs, verbose=0), "fit"),
        (lambda: ranker.fit(mine, validation_data=theirs, verbose=0), "fit: validation_data"),
        (lambda: ranker.evaluate(theirs, verbose=0), "evaluate"),
        (lambda: ranker.predict(theirs, verbose=0), "predict"),
    ]:
        with pytest.raises(InputError, match=f"^Ranker: {where}: items: .*{OTHER}"):
            call()


@pytest.mark.parametrize(
    "changed",
    [
        lambda batches: batches.take(1),
        lambda batches: batches.repeat().shuffle(2).prefetch(1),
        lambda batches: batches.map(lambda batch: batch | {"more": batch["item"]}),
        lambda batches: tf.data.Dataset.zip(batches, batches).map(lambda one, _: one),
    ],
)
def test_they_stay_known_through_a_pipeline(ranker, others, changed):
    with pytest.raises(InputError, match=OTHER):
        ranker.fit(changed(ranking_examples(others, 4)), steps_per_epoch=1, verbose=0)


@pytest.mark.parametrize("kind", ["as_of", "autoencoder", "held_out", "pairs", "sequence"])
def test_a_two_tower_refuses_each_kind(events, others, kind):
    model = TwoTower(events, dim=2)
    model.compile("sgd")
    with pytest.raises(InputError, match=f"^TwoTower: fit: items: .*{OTHER}"):
        model.fit(others.batches(4, examples=kind), verbose=0)


def test_users_matter_to_a_model_that_reads_their_ids(events, make_events):
    renamed = make_events([(user.upper(), *rest) for user, *rest in ROWS], items="abcde")
    theirs = ranking_examples(renamed, 4, negatives=1)
    for user in ("history", "both"):
        model = Ranker(events, **SMALL, user=user)
        model.compile("sgd")
        if user == "history":
            assert np.isfinite(model.evaluate(theirs, verbose=0)).all()
            continue
        with pytest.raises(InputError, match=r"evaluate: users: .*built for other users"):
            model.evaluate(theirs, verbose=0)
