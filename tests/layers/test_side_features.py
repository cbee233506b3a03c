import numpy as np
import pytest

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers import SideFeatures


def _layer(**options):
    """Feature 1: rows 0 and 1; feature 2, up to two of the rows 2 and 3; and one number."""
    layer = SideFeatures(3, 4, [(1, "sum"), (2, options.pop("pool", "mean"))], 1, 5, 2, 0)
    layer.table.assign([[1, 2], [3, 4], [10, 20], [30, 40]])
    layer.kernel.assign(np.eye(5))
    layer.assign([[1, 2, 3], [-1, 3, -1], [0, -1, -1]], [[0.5], [0.0], [7.0]])
    return layer


def test_categories_are_pooled_and_missing_ones_zero():
    found = _layer()(tf.constant([0, 1, 2, -1])).numpy()
    assert found.tolist() == [
        [3, 4, 20, 30, 0.5],  # the mean of 10, 30 and of 20, 40
        [0, 0, 30, 40, 0],
        [1, 2, 0, 0, 7],
        [0, 0, 0, 0, 0],
    ]
    assert _layer(pool="sum")(tf.constant([0])).numpy().tolist() == [[3, 4, 40, 60, 0.5]]


def test_attention_by_hand():
    """The query is sqrt(2) ln(3) (0, 1) / 20: scores ln 3 and 2 ln 3, weights 1/4 and 3/4."""
    layer = _layer(pool="attention")
    np.testing.assert_allclose(layer(tf.constant([0]))[0], [3, 4, 20, 30, 0.5])  # a mean at first
    layer.queries.assign([[0.0, 2**0.5 * np.log(3) / 20]])
    found = layer(tf.constant([0, 1, 2, -1])).numpy()
    np.testing.assert_allclose(
        found,
        [
            [3, 4, 0.25 * 10 + 0.75 * 30, 0.25 * 20 + 0.75 * 40, 0.5],
            [0, 0, 30, 40, 0],  # one of two is missing
            [1, 2, 0, 0, 7],  # both are
            [0, 0, 0, 0, 0],
        ],
        rtol=1e-5,
    )


def test_each_feature_has_its_own_query_unless_it_holds_one_tag():
    slots = [(2, "attention"), (1, "attention"), (2, "mean"), (3, "attention")]
    layer = SideFeatures(1, 8, slots, 0, 2, embedding_dim=4)
    assert layer.queries.shape == (2, 4)
    layer.queries.assign([[9.0] * 4, [0.0] * 4])
    layer.table.assign(tf.one_hot(range(8), 4) + tf.one_hot(range(8), 4))
    layer.kernel.assign(np.eye(16, 2, -12))  # reads the last feature
    layer.assign([[0, 1, 2, 3, -1, 0, 1, -1]], np.zeros((1, 0)))
    assert layer(tf.constant([0])).numpy().tolist() == [[1, 1]]  # the mean of (2, 0) and (0, 2)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(tf.constant([0])))
    assert all(g is not None for g in tape.gradient(loss, layer.trainable_weights))


def test_given_features_and_rows_of_any_shape_are_the_same():
    layer = _layer()
    given = layer.of(tf.constant([[[1, 2, 3]]]), tf.constant([[[0.5]]]))
    assert given.shape == (1, 1, 5)
    np.testing.assert_array_equal(given, layer(tf.constant([[0]])))


def test_the_mlp_by_hand():
    """x = 2; W = 10; hidden units 2 * 3 = 6 and 2 * -1, cut to 0; 20 + 6 * 100."""
    layer = SideFeatures(1, 0, [], 1, 1, hidden=2)
    layer.assign(np.zeros((1, 0), np.int32), [[2.0]])
    layer.kernel.assign([[10.0]])
    layer.hidden.assign([[3.0, -1.0]])
    layer.last.assign([[100.0], [1000.0]])
    assert layer(tf.constant([0])).numpy().tolist() == [[620.0]]


def test_it_starts_at_zero_and_trains():
    layer = SideFeatures(2, 3, [(1, "sum")], 1, 4)
    layer.assign([[0], [2]], [[1.0], [-1.0]])
    with tf.GradientTape() as tape:
        out = layer(tf.constant([0, 1]))
        loss = tf.reduce_sum(tf.square(out - 1.0))
    assert not out.numpy().any()
    gradients = tape.gradient(loss, layer.trainable_weights)
    assert all(g is not None for g in gradients)
    keras.optimizers.SGD(0.1).apply_gradients(zip(gradients, layer.trainable_weights, strict=True))
    assert np.abs(layer(tf.constant([0]))).max() > 0


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"slots": [], "n_numbers": 0}, "neither"),
        ({"slots": [(1, "max")], "n_numbers": 0}, "'max'"),
    ],
)
def test_mistakes(options, says):
    with pytest.raises(ValueError, match=says):
        SideFeatures(1, 1, dim=2, **options)
