import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.examples import ranking_examples
from tfrec_fusion.models import ExaminedHead, Ranker

NAN = float("nan")


def _built(**options):
    head = ExaminedHead("label", **options)
    head(tf.zeros([1, 1, 2]))
    return head


def test_a_click_is_seeing_and_wanting():
    head = _built(position="rank", positions=3)
    head.seen.assign([logit(0.5), logit(0.2)])
    batch = {
        "label": tf.constant([[1.0, 0, 0, 1, 0]]),
        "label/rank": tf.constant([[1.0, 2, 3, 9, NAN]]),
    }
    outputs = tf.fill([1, 5], float(logit(0.4)))
    labels, found, weights = head.examples(batch, outputs)
    # .4 at the first position, .4 * .5, .4 * .2, the same further down, and .4 if none is known.
    np.testing.assert_allclose(expit(found[:, 0]), [0.4, 0.2, 0.08, 0.08, 0.4], rtol=1e-5)
    np.testing.assert_array_equal(labels[:, 0], [1, 0, 0, 1, 0])
    assert weights is None
    np.testing.assert_allclose(head.prediction(outputs), 0.4, rtol=1e-5)
    np.testing.assert_array_equal(head.score(outputs), outputs)


def test_gradients_reach_both_factors_and_are_finite():
    head = _built(positions=2)
    outputs = tf.Variable([[300.0, -300.0, 1.0]])
    batch = {"label": tf.zeros([1, 3]), "label/position": tf.constant([[2.0, 2.0, NAN]])}
    with tf.GradientTape() as tape:
        labels, found, _ = head.examples(batch, outputs)
        loss = head.default_loss()(labels, found)
    for gradient in tape.gradient(loss, [outputs, head.seen]):
        values = tf.convert_to_tensor(gradient).numpy()
        assert np.isfinite(values).all() and np.abs(values).max() > 0


def test_it_is_rebuilt_and_refuses_what_it_cannot_learn():
    head = ExaminedHead("label", position="rank", positions=4, hidden=[3])
    assert ExaminedHead.from_config(head.get_config()).get_config() == head.get_config()
    built = _built()
    with pytest.raises(InputError, match=r"no 'label/position'; read the events with labels=\['p"):
        built.examples({"label": tf.zeros([1, 1])}, tf.zeros([1, 1]))
    with pytest.raises(InputError, match="must not compare lists"):
        built.lists({}, tf.zeros([1, 1]))
    with pytest.raises(ValueError, match="positions must be"):
        ExaminedHead(positions=1)


def test_it_learns_what_positions_hide():
    """Clicks of two kinds of items; the worse ones are shown first four times of five."""
    rng = np.random.default_rng(0)
    n = 40_000
    good, lucky = rng.random(n) < 0.5, rng.random(n) < 0.2
    rank = np.where(good == lucky, 1, 2)
    clicks = rng.random(n) < np.where(good, 0.6, 0.3) * np.where(rank == 1, 1, 0.25)
    assert clicks[good].mean() < clicks[~good].mean() + 0.01
    head = _built(position="rank", positions=2)
    x = np.stack([good, ~good], 1).astype(np.float32)[:, None]
    batch = {"label": tf.constant(clicks[:, None], tf.float32)}
    batch["label/rank"] = tf.constant(rank[:, None], tf.float32)
    optimizer = keras.optimizers.Adam(0.05)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            labels, found, _ = head.examples(batch, head(x))
            loss = head.default_loss()(labels, found)
        weights = head.trainable_weights
        optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))

    for _ in range(300):
        step()
    found = head.prediction(head(x)).numpy()[:, 0]
    assert found[good].mean() == pytest.approx(0.6, abs=0.03)
    assert found[~good].mean() == pytest.approx(0.3, abs=0.03)
    assert float(tf.sigmoid(head.seen)[0]) == pytest.approx(0.25, abs=0.03)


def test_a_ranker_trains_it(golden):
    events = golden.ranker_events()  # `stars` are 1 to 5
    heads = {"buy": {"kind": "examined", "position": "stars", "positions": 5}}
    model = Ranker(events, dim=4, hidden=[4], vectors=[], heads=heads)
    model.compile("adam")
    batches = ranking_examples(events, 256, negatives=1)
    before = model.head.seen.numpy()
    model.fit(batches.take(2), verbose=0)
    assert (model.head.seen.numpy() != before).all()
    loaded = Ranker.from_config(model.get_config())
    assert loaded.get_config() == model.get_config()


@pytest.mark.parametrize(
    ("position", "says"),
    [
        ("nope", "must be one of the events' labels"),
        ("below", "must hold whole numbers from 1. Received: 0"),
        ("parts", "must hold whole numbers from 1. Received: 1.5"),
        ("missing", "must hold whole numbers from 1. Received: none, all are missing"),
    ],
)
def test_positions_are_checked(position, says):
    frame = pd.DataFrame(
        {"user_id": ["u", "u", "v"], "item_id": ["a", "b", "a"], "label": [1.0, 0.0, 1.0]}
    ).assign(below=[0.0, 1, 2], parts=[1.0, 1.5, 2], missing=np.nan)
    catalogue = Catalogue(pd.DataFrame({"item_id": ["a", "b", "c"]}))
    events = Interactions.from_frame(frame, catalogue, labels=["below", "parts", "missing"])
    heads = {"click": {"kind": "examined", "position": position, "label": "label"}}
    with pytest.raises(InputError, match=f"'click': position.*{says}"):
        Ranker(events, dim=4, hidden=[4], heads=heads)
