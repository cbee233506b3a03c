"""Rankers that learn from a teacher."""

import numpy as np
import pandas as pd
import pytest

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.examples import distillation_examples, ranking_examples
from tfrec_fusion.models import Ranker, TwoTower
from tfrec_fusion.optimizers import adam
from tfrec_fusion.times import DAY

N_USERS, N_ITEMS = 30, 20
SMALL = {"dim": 4, "cross_layers": 0, "hidden": [8], "id_l2": 0.0, "id_dropout": 0.0}
NOISE = np.random.default_rng(0).random(600)


BOTH = {name: {"kind": "binary", "label": "label"} for name in ("click", "again")}


def _events(ids=tuple(f"i{i}" for i in range(N_ITEMS)), **columns):
    """Impressions that a user takes with the probability that `_teacher` says."""
    rng = np.random.default_rng(1)
    item = rng.integers(0, N_ITEMS, 600)
    frame = pd.DataFrame(
        {
            "user_id": [f"u{u}" for u in rng.integers(0, N_USERS, 600)],
            "item_id": [f"i{i}" for i in item],
            "timestamp": 1.6e9 + DAY * rng.uniform(0, 50, 600),
            "label": (1 / (1 + np.exp(-_logit(item))) > NOISE).astype(float),
        }
    )
    items = pd.DataFrame({"item_id": ids, "kind": np.arange(N_ITEMS) % 3})
    return Interactions.from_frame(frame.assign(**columns), Catalogue(items), duplicates="first")


def _logit(item):
    return np.where(np.asarray(item) % 3 == 0, 1.0, -1.0).astype(np.float32)


def _teacher(batch):
    return _logit(batch["item"])


@pytest.fixture(scope="module")
def events():
    return _events()


def _model(events, **options):
    keras.utils.set_random_seed(0)
    return Ranker(events, **(SMALL | options))


@pytest.mark.parametrize("negatives", [0, 2])
def test_batches_have_the_logits_of_the_teacher(events, negatives):
    batches = ranking_examples(events, 64, negatives=negatives)
    taught = distillation_examples(batches, _teacher)
    assert len(taught) == len(batches)
    assert taught.element_spec["teacher"].shape == batches.element_spec["item"].shape
    batch = next(iter(taught))
    np.testing.assert_array_equal(batch["teacher"], _logit(batch["item"]))


def test_a_ranker_teaches(events):
    teacher = _model(events)
    batch = next(iter(distillation_examples(ranking_examples(events, 64), teacher)))
    np.testing.assert_allclose(batch["teacher"], teacher(batch), rtol=1e-5, atol=1e-6)


def test_the_loss_by_hand():
    events = _events(weight=np.where(np.arange(600) % 2, 0.5, 2.0))
    batch = next(iter(distillation_examples(ranking_examples(events, 64), _teacher)))
    model = _model(events, distillation=3.0, temperature=2.0)
    model.compile("sgd")
    score, weight = model(batch, training=True).numpy().astype(float), batch["weight"].numpy()
    of_labels = np.logaddexp(0, score) - batch["label"].numpy() * score
    share = 1 / (1 + np.exp(-batch["teacher"].numpy() / 2))
    of_teacher = 4 * (np.logaddexp(0, score / 2) - share * score / 2)
    found = float(model.compute_loss(batch, training=True))
    assert found == pytest.approx(np.mean(weight * (of_labels + 3 * of_teacher)), rel=1e-4)
    # An evaluation is of the labels alone.
    score = model(batch).numpy().astype(float)
    of_labels = np.logaddexp(0, score) - batch["label"].numpy() * score
    found = float(model.compute_loss(batch, training=False))
    assert found == pytest.approx(np.mean(weight * of_labels), rel=1e-4)


def test_several_heads_add_it_to_the_one_that_ranks():
    events = _events(label=np.round(NOISE), amount=NOISE)
    heads = {"click": {"kind": "binary", "label": "label"}, "again": {"kind": "binary"}}
    heads["again"]["label"] = "label"
    batch = next(iter(distillation_examples(ranking_examples(events, 64), _teacher)))
    found = {}
    for weight in (0.0, 2.0):
        model = _model(events, heads=heads, distillation=weight)
        model.compile("sgd")
        given = batch if weight else {n: v for n, v in batch.items() if n != "teacher"}
        found[weight] = float(model.compute_loss(given, training=True))
    keras.utils.set_random_seed(0)
    score = Ranker(events, **SMALL, heads=heads)(batch, training=True).numpy().astype(float)
    share = 1 / (1 + np.exp(-batch["teacher"].numpy()))
    wanted = 2 * np.mean(np.logaddexp(0, score) - share * score)
    assert found[2.0] - found[0.0] == pytest.approx(wanted, rel=1e-3)


@pytest.mark.slow
def test_a_student_is_nearer_to_its_teacher_than_one_of_labels(events):
    apart = {}
    for weight in (0.0, 4.0):
        student = _model(events, distillation=weight)
        batches = ranking_examples(events, 64)
        if weight:
            batches = distillation_examples(batches, _teacher)
        student.compile(adam(1e-2, steps=20 * len(batches)))
        student.fit(batches, epochs=20, verbose=0)
        batch = next(iter(ranking_examples(events, 600)))
        gap = tf.sigmoid(student(batch)) - tf.sigmoid(_teacher(batch))
        apart[weight] = float(tf.reduce_mean(tf.abs(gap)))
    assert apart[4.0] < 0.6 * apart[0.0], apart


def test_a_teacher_of_another_label_or_catalogue_is_refused(events):
    plain = ranking_examples(events, 64)
    heads = {"amount": {"kind": "regression", "label": "label"}}
    ids = [f"j{i}" for i in range(N_ITEMS)]
    others = _events(item_id=[ids[i] for i in events.item], ids=ids)
    for teacher, says in [
        (_model(events, heads=heads), "must rank by the logit of the events' `label`.* a Ranker"),
        (TwoTower(events, dim=4), "must rank by the logit of the events' `label`.* a TwoTower"),
        (_model(others), "distillation_examples: teacher: items: the model was built for other"),
    ]:
        with pytest.raises(InputError, match=says):
            distillation_examples(plain, teacher)
    assert "teacher" in distillation_examples(plain, _model(events, heads=BOTH)).element_spec


def test_a_later_batch_that_is_not_finite_stops_the_training(events):
    seen = []

    def breaks(batch):
        seen.append(1)
        return np.full(batch["item"].shape, np.inf if len(seen) > 2 else 0.0)

    batches = distillation_examples(ranking_examples(events, 64), breaks)
    with pytest.raises(
        tf.errors.OpError, match=r"InputError: .* finite. Received: 64 that are inf"
    ):
        list(batches)


def test_a_missing_or_unread_teacher_is_named(events):
    plain = ranking_examples(events, 64)
    taught = distillation_examples(plain, _teacher)
    model = _model(events, distillation=1.0)
    model.compile("sgd")
    with pytest.raises(InputError, match="distillation=1 needs the logits of a teacher"):
        model.fit(plain, verbose=0)
    model = _model(events)
    model.compile("sgd")
    with pytest.raises(InputError, match="have a teacher's logits, which it does not read"):
        model.fit(taught, verbose=0)
    for batches, teacher, says in [
        (taught, _teacher, "without a teacher. Received: .*'teacher'"),
        ([], _teacher, "Received: list"),
        (plain, 3, "teacher must give the logits.* Received: int"),
        (plain, lambda batch: 1.0, r"a logit of each item, of shape \(64,\).*Received: \(\)"),
        (plain, lambda batch: "1, 2", "a logit of each item.*Received: str"),
        (plain, lambda batch: np.full(64, np.nan), "and finite. Received: 64 that are nan"),
    ]:
        with pytest.raises(InputError, match=says):
            distillation_examples(batches, teacher)
    regression = {"amount": {"kind": "regression", "label": "label"}}
    for options, says in [
        ({"distillation": -1}, "Ranker: distillation: .*Received: -1"),
        ({"distillation": 1, "temperature": 0}, "Ranker: temperature: .*Received: 0"),
        ({"temperature": 2}, "Ranker: temperature: is that of a distillation"),
        ({"distillation": 1, "heads": regression}, "must rank by a binary head"),
    ]:
        with pytest.raises(InputError, match=says):
            _model(events, **options)
