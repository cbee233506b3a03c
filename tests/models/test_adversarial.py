"""Adversarial training of rankers."""

import numpy as np
import pytest

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.examples import ranking_examples
from tfrec_fusion.models import Ranker
from tfrec_fusion.models.adversarial import no_perturbation, perturbation

SMALL = {"dim": 4, "cross_layers": 1, "hidden": [4], "id_l2": 0.0, "id_dropout": 0.0}
EPSILON = 0.5


@pytest.fixture(scope="module")
def events(make_events):
    rng = np.random.default_rng(0)
    users, items = rng.integers(0, 12, 120), rng.integers(0, 10, 120)
    rows = {(f"u{user}", "abcdefghij"[item]) for user, item in zip(users, items, strict=True)}
    return make_events([(*pair, 86_400 * day) for day, pair in enumerate(sorted(rows))])


def _model(events, **options):
    keras.utils.set_random_seed(0)
    model = Ranker(events, **(SMALL | options))
    for weight in model.trainable_weights:
        weight.assign_add(0.2 * tf.random.stateless_normal(weight.shape, [1, 2]))
    return model


def _batch(events):
    return next(iter(ranking_examples(events, 16, negatives=2, history=5)))


def test_a_step_of_fixed_norm_along_the_slopes_by_hand():
    # The first row has the slopes (3, 0) and (0, 4), of norm 5; those of the second are 0; those
    # of the third would underflow if they were squared.
    slopes = {
        "item": tf.constant([[[3.0, 0.0]], [[0.0, 0.0]], [[3e-30, 0.0]]]),
        "history": tf.constant([[[0.0, 4.0]], [[0.0, 0.0]], [[0.0, -4e-30]]]),
    }
    found = perturbation(slopes, 0.5)
    np.testing.assert_allclose(found["item"][:, 0], [[0.3, 0], [0, 0], [0.3, 0]], rtol=1e-5)
    np.testing.assert_allclose(found["history"][:, 0], [[0, 0.4], [0, 0], [0, -0.4]], rtol=1e-5)


def _loss(model, batch, perturbed):
    logits = model(batch, training=True, perturbed=perturbed)
    labels = tf.cast(batch["label"], tf.float32)
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels, logits))


@pytest.mark.parametrize("user", ["history", pytest.param("id", marks=pytest.mark.slow)])
def test_a_step_adds_the_loss_of_moved_vectors(events, user):
    batch, plain = _batch(events), _model(events, user=user)
    none = no_perturbation(batch, 4, plain.reads_history)
    assert set(none) == ({"item", "history"} if user == "history" else {"item"})
    with tf.GradientTape() as tape:
        tape.watch(none)
        clean = _loss(plain, batch, none)
    moved = perturbation(tape.gradient(clean, none), EPSILON)
    with tf.GradientTape() as tape:
        adversarial = _loss(plain, batch, moved)
        total = _loss(plain, batch, None) + adversarial
    slopes = [tf.convert_to_tensor(one) for one in tape.gradient(total, plain.trainable_variables)]
    # It raises the loss, and more than a random step of that norm.
    drawn = perturbation({n: tf.random.normal(v.shape) for n, v in none.items()}, EPSILON)
    assert adversarial > clean + 0.01 and adversarial > _loss(plain, batch, drawn)

    model = _model(events, user=user, adversarial=EPSILON)
    model.compile(keras.optimizers.legacy.SGD(1.0))
    before = [tf.identity(one) for one in model.trainable_variables]
    logged = model.train_step(batch)
    # The metric is of the plain loss.
    np.testing.assert_allclose(logged["loss"], clean, rtol=1e-5)
    for old, new, slope in zip(before, model.trainable_variables, slopes, strict=True):
        np.testing.assert_allclose(old - new, slope, rtol=1e-3, atol=1e-6)


@pytest.mark.slow
def test_several_heads_and_a_loss_of_lists_train(events):
    heads = {"click": {"kind": "binary", "label": "label"}}
    heads["again"] = heads["click"] | {"weight": 0.5}
    batches = ranking_examples(events, 32, negatives=2, history=5)
    for options, loss in [({"heads": heads}, None), ({}, "softmax")]:
        model = _model(events, adversarial=EPSILON, **options)
        model.compile("adam", loss=loss)
        assert np.isfinite(model.fit(batches, verbose=0).history["loss"]).all()


def test_a_wrong_norm_is_named(events):
    with pytest.raises(InputError, match=r"Ranker: adversarial: .*Received: -1"):
        Ranker(events, adversarial=-1)
