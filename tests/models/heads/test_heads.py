"""What each head makes of its outputs, and what it learns from, by hand."""

import numpy as np
import pytest

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.losses import CumulativeLink, ZeroInflatedLogNormal
from tfrec_fusion.models import (
    BinaryHead,
    MultiClassHead,
    OrdinalHead,
    RegressionHead,
    ZeroInflatedLogNormalHead,
)


def _logit(p):
    return float(np.log(p) - np.log1p(-p))


def _close(found, expected, rtol=1e-5):
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=1e-6)


def test_a_probability_given_another_is_their_product():
    # p(click) = .8 and p(buy | click) = .25, so p(buy) = .2; and .5 * .5 = .25.
    click, own = tf.constant([_logit(0.8), 0.0]), tf.constant([_logit(0.25), 0.0])
    head = BinaryHead(given="click")
    joint = head.joined(own, {"click": click})
    _close(head.prediction(joint), [0.2, 0.25])
    # Its cross entropies are -log p and -log(1 - p).
    loss = head.default_loss()
    _close(loss(tf.constant([[1.0], [0.0]]), joint[:, None]), -(np.log(0.2) + np.log(0.75)) / 2)
    assert BinaryHead().joined(own, {"click": click}) is own


def test_a_product_of_probabilities_is_finite_where_they_are_not():
    # Far from 0 the smaller logit remains: log p = a, or log(1 - p) = -b.
    extreme = tf.Variable([-300.0, 300.0, 300.0, -300.0])
    other = tf.constant([300.0, 300.0, 5.0, -300.0])
    with tf.GradientTape() as tape:
        joint = BinaryHead(given="a").joined(extreme, {"a": other})
    _close(joint, [-300, 300 - np.log(2), 5, -600])
    assert np.isfinite(tape.gradient(joint, extreme)).all()


def test_classes_by_hand():
    head = MultiClassHead(classes=3)
    # Softmax of log(1), log(2), log(5) is 1/8, 2/8, 5/8, whose expected class is 12/8.
    outputs = tf.math.log([[1.0, 2.0, 5.0]])
    _close(head.prediction(outputs), [[0.125, 0.25, 0.625]])
    _close(head.value(outputs), [1.5])
    _close(head.default_loss()(tf.constant([[1.0]]), outputs), np.log(4))
    assert head.units == 3 and head.shape == "[B, N, 3]"


def test_grades_by_hand():
    head = OrdinalHead(classes=3, lowest=1)
    # P(y > 1) = .9 and P(y > 2) = .4: grades 1, 2 and 3 have .1, .5 and .4, 2.3 on average.
    outputs = tf.constant([[_logit(0.9), _logit(0.4)]] * 3)
    _close(head.prediction(outputs), [2.3] * 3)
    rows = CumulativeLink(1).call(tf.constant([[1.0], [2.0], [3.0]]), outputs)
    _close(rows, -np.log([0.1, 0.5, 0.4]))
    _close(head.default_loss()(tf.constant([[2.0]]), outputs[:1]), np.log(2))


def test_thresholds_stay_in_order_whatever_their_variable_is():
    head = OrdinalHead(classes=4)
    head(tf.ones([1, 2]))
    _close(head.thresholds, [0, 1, 2])
    head.gaps.assign([-30.0, 2.0])
    assert (np.diff(head.thresholds) > 0).all()
    head.linear.set_weights([np.array([[1.0], [2.0]]), np.array([0.5])])
    # f = 3 + .5, from which the thresholds are subtracted.
    _close(head(tf.ones([1, 2])), [3.5 - head.thresholds.numpy()])


def test_two_grades_are_one_logit():
    head = OrdinalHead(classes=2)
    assert head(tf.ones([2, 3, 4])).shape == (2, 3)
    loss = head.default_loss().call(tf.constant([[1.0], [0.0]]), tf.constant([[0.3], [0.3]]))
    _close(loss, np.log1p(np.exp([-0.3, 0.3])))


def test_amounts_by_hand():
    head = ZeroInflatedLogNormalHead()
    # p = .5, mu = 1 and sigma = softplus(log(e^.5 - 1)) = .5: .5 e^(1 + .125).
    outputs = tf.constant([[0.0, 1.0, np.log(np.exp(0.5) - 1)]] * 2, tf.float32)
    _close(head.prediction(outputs), [0.5 * np.exp(1.125)] * 2)
    # 0 costs log 2; e^2 costs log 2 + log(e^2 * .5 * sqrt(2 pi)) + (2 - 1)^2 / (2 * .25).
    paid = np.log(2) + 2 + np.log(0.5 * np.sqrt(2 * np.pi)) + 2
    rows = ZeroInflatedLogNormal().call(tf.constant([[0.0], [np.exp(2.0)]]), outputs)
    _close(rows, [np.log(2), paid])


def test_an_amount_of_zero_teaches_nothing_about_amounts():
    outputs = tf.Variable([[0.3, 1.0, -2.0]])
    with tf.GradientTape() as tape:
        loss = ZeroInflatedLogNormal()(tf.constant([[0.0]]), outputs)
    gradient = tape.gradient(loss, outputs).numpy()[0]
    _close(gradient, [1 / (1 + np.exp(-0.3)), 0, 0])


def test_numbers_by_hand():
    labels, outputs = tf.constant([[1.0], [2.0]]), tf.constant([[3.0], [2.5]])
    # Errors are 2 and .5; beyond .5 Huber's loss is .5 * (2 - .25).
    _close(RegressionHead().default_loss()(labels, outputs), (4 + 0.25) / 2)
    _close(RegressionHead(delta=0.5).default_loss()(labels, outputs), (0.875 + 0.125) / 2)


@pytest.mark.parametrize(("negatives", "expected"), [("zero", 0.0), ("missing", np.nan)])
@pytest.mark.parametrize("kind", [BinaryHead, RegressionHead])
def test_labels_of_sampled_negatives(kind, negatives, expected):
    batch = {
        "label/buy": tf.constant([[1.0, np.nan], [np.nan, np.nan]]),
        "is_sampled": tf.constant([[False, True], [False, True]]),
    }
    labels = kind("buy", negatives=negatives).labels(batch)
    np.testing.assert_array_equal(labels, [[1, expected], [np.nan, expected]])
    default = kind("buy").labels(batch)[0, 1]
    assert np.isnan(default) == (kind is RegressionHead)


def test_a_label_is_zero_without_the_one_that_it_needs():
    batch = {
        "label/buy": tf.constant([[1.0, np.nan], [np.nan, np.nan]]),
        "is_sampled": tf.constant([[False, True], [False, True]]),
    }
    without = tf.constant([[False, True], [True, True]])
    labels = BinaryHead("buy", given="click").labels(batch, without)
    np.testing.assert_array_equal(labels, [[1, 0], [0, 0]])
    # Sampled negatives stay out where the head says so.
    labels = BinaryHead("buy", given="click", negatives="missing").labels(batch, without)
    np.testing.assert_array_equal(labels, [[1, np.nan], [0, np.nan]])


def test_own_layers_before_the_linear_one():
    head = RegressionHead(hidden=[1])
    head(tf.ones([1, 2]))
    head.network.dense[0].set_weights([np.array([[1.0], [1.0]]), np.array([-1.0])])
    head.linear.set_weights([np.array([[2.0]]), np.array([0.5])])
    # 2 relu(x + y - 1) + .5
    _close(head(tf.constant([[2.0, 3.0], [0.0, 0.5]])), [8.5, 0.5])


@pytest.mark.parametrize(
    ("kind", "options", "says"),
    [
        (RegressionHead, {"weight": -1}, "weight must be .*Received: -1"),
        (RegressionHead, {"weight": True}, "weight must be .*Received: True"),
        (RegressionHead, {"label": 3}, "label must be a name"),
        (RegressionHead, {"negatives": "none"}, "negatives must be one of zero, missing"),
        (RegressionHead, {"delta": 0}, "delta must be"),
        (BinaryHead, {"given": 1}, "given must be"),
        (MultiClassHead, {"classes": 1}, "classes must be a whole number of 2 or more"),
        (OrdinalHead, {"lowest": 0.5}, "lowest must be a whole number"),
    ],
)
def test_a_wrong_option_is_named(kind, options, says):
    with pytest.raises(ValueError, match=says):
        kind(**options)


def test_a_config_rebuilds_the_losses():
    for loss in (CumulativeLink(2, name="grades"), ZeroInflatedLogNormal()):
        twin = keras.losses.deserialize(keras.losses.serialize(loss))
        assert type(twin) is type(loss) and twin.get_config() == loss.get_config()
