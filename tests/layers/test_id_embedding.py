import numpy as np
import pytest

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers import IdEmbedding


def test_unknown_rows_share_one_vector_that_starts_at_zero():
    layer = IdEmbedding(3, 2)
    vectors = layer(tf.constant([-1, 0, -1])).numpy()
    assert (vectors[[0, 2]] == 0).all()
    assert (vectors[1] == layer.table.numpy()[0]).all()


def test_dropout_hides_an_id_everywhere_or_nowhere_and_at_its_rate():
    keras.utils.set_random_seed(0)
    layer = IdEmbedding(1000, 2, dropout=0.3, initializer="ones")
    rows = tf.tile(tf.range(1000), [2])
    hidden = (layer(rows, training=True).numpy() == 0).all(1)
    assert (hidden[:1000] == hidden[1000:]).all()
    # 1000 draws at .3: 300 with a standard deviation of 14.5, so 5 of them are 73.
    assert abs(hidden[:1000].sum() - 300) < 73
    assert not (layer(rows, training=False).numpy() == 0).any()


def test_the_unknown_bucket_is_trained_by_dropout():
    layer = IdEmbedding(50, 2, dropout=0.5, initializer="ones")
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(tf.range(50), training=True))
    table, unknown = tape.gradient(loss, [layer.table, layer.unknown])
    touched = np.asarray(tf.convert_to_tensor(table))[:, 0].sum()
    # Each row's gradient is one, on the row itself or on the bucket: 50 in all.
    assert touched + unknown.numpy()[0] == 50
    assert unknown.numpy()[0] > 0


@pytest.mark.parametrize("arguments", [(0, 2), (2, 0), (2, 2, 1.0), (2, 2, -0.1)])
def test_bad_arguments(arguments):
    with pytest.raises(ValueError, match="Received"):
        IdEmbedding(*arguments)
