import inspect

import numpy as np
import pytest

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.layers import (
    FUSIONS,
    AdditiveFusion,
    ConcatFusion,
    CrossAttentionFusion,
    DeltaFusion,
    DualViewFusion,
    ExpertFusion,
    FilmFusion,
    GateFusion,
    HybridExpertFusion,
    NullSpaceFusion,
    PreNormAttention,
    SumFusion,
)
from tfrec_fusion.layers.fusions import make_fusion

X = {"a": tf.constant([[1.0, 2.0]]), "b": tf.constant([[10.0, 20.0]])}
ONLY_B = {"a": tf.constant([False]), "b": tf.constant([True])}
NOTHING = {"a": tf.constant([False]), "b": tf.constant([False])}


def test_sum():
    np.testing.assert_allclose(SumFusion(2)(X), [[11.0, 22.0]])
    np.testing.assert_allclose(SumFusion(2)(X, ONLY_B), [[10.0, 20.0]])


def test_sum_needs_inputs_of_its_size():
    with pytest.raises(ValueError, match=r"'a' must have 3 columns\. Received: 2"):
        SumFusion(3)(X)


def test_concat_has_mask_columns():
    layer = ConcatFusion(1)
    layer(X)
    # Columns: a0 a1 mask_a b0 b1 mask_b.
    layer.kernel.assign([[1.0], [1.0], [100.0], [1.0], [1.0], [1000.0]])
    layer.bias.assign([0.5])
    # 1 + 2 + 100 + 10 + 20 + 1000 + .5, and without a 30 + 1000 + .5.
    np.testing.assert_allclose(layer(X), [[1133.5]])
    np.testing.assert_allclose(layer(X, ONLY_B), [[1030.5]])


def test_additive_is_the_activation_of_the_sum():
    layer = AdditiveFusion(1, activation="relu")
    layer(X)
    layer.kernels["a"].assign([[1.0], [0.0]])
    layer.kernels["b"].assign([[0.0], [-0.04]])
    # relu(1 - .8) = .2, and without a relu(-.8) = 0.
    np.testing.assert_allclose(layer(X), [[0.2]], rtol=1e-6)
    np.testing.assert_allclose(layer(X, ONLY_B), [[0.0]])


def test_gate_shares_sum_to_one_over_what_is_present():
    layer = GateFusion(1)
    layer(X)
    layer.kernels["a"].assign([[1.0], [0.0]])
    layer.kernels["b"].assign([[1.0], [0.0]])
    # Gates start at zero: twice a half of each. A gate of log 3 on a0 gives a 3/4 of it.
    np.testing.assert_allclose(layer(X), [[11.0]], rtol=1e-6)
    layer.gates["a"].assign([[np.log(3.0)], [0.0], [0.0], [0.0]])
    np.testing.assert_allclose(layer(X), [[2 * (0.75 * 1 + 0.25 * 10)]], rtol=1e-6)
    np.testing.assert_allclose(layer(X, ONLY_B), [[10.0]], rtol=1e-6)
    np.testing.assert_allclose(layer(X, NOTHING), [[0.0]])


def test_cross_attention_starts_as_the_sum_and_leaves_out_what_is_absent():
    layer = CrossAttentionFusion(2, heads=1)
    np.testing.assert_allclose(layer(X), [[11.0, 22.0]], rtol=1e-6)
    layer.maps[0].bias.assign([1.0, 2.0])
    # Each of the two tokens gets the bias: 11 + 2, 22 + 4; and one token alone 10 + 1, 20 + 2.
    np.testing.assert_allclose(layer(X), [[13.0, 26.0]], rtol=1e-6)
    np.testing.assert_allclose(layer(X, ONLY_B), [[11.0, 22.0]], rtol=1e-6)
    np.testing.assert_allclose(layer(X, NOTHING), [[0.0, 0.0]])


def test_attention_weighs_its_memory_and_nothing():
    layer = PreNormAttention(2, heads=1)
    query = tf.constant([[[1.0, 3.0]]])
    memory = tf.constant([[[5.0, 7.0], [9.0, 1.0]]])
    layer(query, memory, tf.constant([[True, True]]))
    for dense, kernel in (
        (layer.query, np.zeros((2, 2))),
        (layer.key, np.zeros((2, 2))),
        (layer.value, np.eye(2)),
        (layer.output_map, 3 * np.eye(2)),
    ):
        dense.kernel.assign(kernel)
    # All logits 0: a third each for (-1, 1), (1, -1), the norms of the memory, and for nothing.
    # Both present: 3 * 0; the first alone, with a half: (1, 3) + 3 * (-.5, .5).
    output = layer(query, memory, tf.constant([[True, True]]))
    np.testing.assert_allclose(output, [[[1.0, 3.0]]], atol=1e-3)
    output = layer(query, memory, tf.constant([[True, False]]))
    np.testing.assert_allclose(output, [[[-0.5, 4.5]]], atol=2e-3)


IDS = {"id": tf.constant([[3.0, 4.0]]), "text": tf.constant([[0.0, 2.0]])}
NO_ID = {"id": tf.constant([False]), "text": tf.constant([True])}
NO_TEXT = {"id": tf.constant([True]), "text": tf.constant([False])}


def test_film_scales_and_shifts_the_id():
    layer = FilmFusion(2)
    np.testing.assert_allclose(layer(IDS), [[3.0, 6.0]])
    layer.kernel.assign([[0.0, 0.0], [1.0, 0.5]])
    # Scale 1 + (0, 2) W = (3, 2): (3 * 3 + 0, 4 * 2 + 2).
    np.testing.assert_allclose(layer(IDS), [[9.0, 10.0]])
    np.testing.assert_allclose(layer(IDS, NO_ID), [[0.0, 2.0]])
    np.testing.assert_allclose(layer(IDS, NO_TEXT), [[3.0, 4.0]])


def test_experts_are_mixed_by_the_content():
    layer = ExpertFusion(2, experts=2)
    layer(IDS)
    layer.kernels["text"].assign(np.stack([np.eye(2), 5 * np.eye(2)]))
    layer.offsets["text"].assign([[0.0, 1.0], [0.0, 0.0]])
    # Gates at zero: half of (0, 2 - 1) and half of 5 (0, 2), and the id.
    np.testing.assert_allclose(layer(IDS), [[3.0, 4.0 + 0.5 + 5.0]])
    # Logits 0 and 2 * log(3) / 2: shares 1/4 and 3/4.
    layer.gates["text"].assign([[0.0, 0.0], [0.0, np.log(3.0) / 2]])
    np.testing.assert_allclose(layer(IDS), [[3.0, 4.0 + 0.25 + 7.5]], rtol=1e-6)
    np.testing.assert_allclose(layer(IDS, NO_TEXT), [[3.0, 4.0]])


def test_experts_see_noise_and_dropout_in_training_alone():
    layer = ExpertFusion(2, dropout=0.5)
    quiet = ExpertFusion(2, dropout=0.0, noise=False)
    np.testing.assert_array_equal(layer(IDS), layer(IDS))
    draws = np.stack([layer(IDS, training=True) for _ in range(8)])
    assert np.ptp(draws, 0).max() > 0.1
    np.testing.assert_array_equal(quiet(IDS, training=True), quiet(IDS))


def test_hybrid_experts_share_some_and_own_some():
    layer = HybridExpertFusion(2, shared=1, specific=1, hidden=2)
    both = IDS | {"audio": tf.constant([[1.0, 0.0]])}
    np.testing.assert_allclose(layer(both), [[4.0, 6.0]])
    for name, value in {
        "shared_in": [np.eye(2)],
        "shared_out": [np.eye(2)],
        "specific_in": [np.eye(2), np.eye(2)],
        "specific_out": [10 * np.eye(2), 100 * np.eye(2)],
    }.items():
        layer.weights_of[name].assign(value)
    # Half of the shared and half of the own expert. Audio, whose own is the first: (1, 0) +
    # (.5, 0) + (5, 0); text: (0, 2) + (0, 1) + (0, 100).
    np.testing.assert_allclose(layer(both), [[3.0 + 6.5, 4.0 + 103.0]])
    masks = {"audio": tf.constant([False]), "text": tf.constant([True])}
    np.testing.assert_allclose(layer(both, masks), [[3.0, 4.0 + 103.0]])


def test_dual_view_mixes_two_views():
    layer = DualViewFusion(2, heads=1)
    np.testing.assert_allclose(layer(IDS), [[3.0, 6.0]], rtol=1e-6)
    layer.kernel.assign([[1.0, 0.0], [0.0, 1.0], [10.0, 0.0], [0.0, 10.0]])
    layer.adapter.bias.assign([1.0, 0.0])
    # The content view is (0, 2) + (1, 0), and counts ten times.
    np.testing.assert_allclose(layer(IDS), [[13.0, 24.0]], rtol=1e-6)
    np.testing.assert_allclose(layer(IDS, NO_ID), [[10.0, 20.0]], rtol=1e-6)
    np.testing.assert_allclose(layer(IDS, NO_TEXT), [[3.0, 4.0]], rtol=1e-6)


def test_delta_is_bounded_around_content_of_length_one():
    # (0, 2) / 2 plus (3, 4) * .5 / 5.
    np.testing.assert_allclose(DeltaFusion(2)(IDS), [[0.3, 1.4]], rtol=1e-6)
    np.testing.assert_allclose(DeltaFusion(2, bound=None)(IDS), [[3.0, 5.0]], rtol=1e-6)
    np.testing.assert_allclose(DeltaFusion(2, bound=50.0)(IDS), [[3.0, 5.0]], rtol=1e-6)
    np.testing.assert_allclose(DeltaFusion(2)(IDS, NO_ID), [[0.0, 1.0]], rtol=1e-6)
    np.testing.assert_allclose(DeltaFusion(2)(IDS, NO_TEXT), [[3.0, 4.0]], rtol=1e-6)


def test_a_free_delta_is_an_id_that_starts_at_the_content():
    content = tf.constant([[0.6, 0.8]])
    delta, table = tf.Variable([[0.0, 0.0]]), tf.Variable(content)
    layer = DeltaFusion(2, bound=None)
    goal = tf.constant([[-1.0, 2.0]])
    optimizers = [keras.optimizers.Adam(0.1) for _ in range(2)]
    for _ in range(5):
        with tf.GradientTape(persistent=True) as tape:
            frozen = tf.reduce_sum((layer({"id": delta, "text": content}) - goal) ** 2)
            free = tf.reduce_sum((table - goal) ** 2)
        optimizers[0].apply_gradients([(tape.gradient(frozen, delta), delta)])
        optimizers[1].apply_gradients([(tape.gradient(free, table), table)])
    np.testing.assert_allclose(layer({"id": delta, "text": content}), table, rtol=1e-5)


def test_null_space_leaves_the_leading_columns_to_content():
    vectors = {"id": tf.constant([[7.0]]), "text": tf.constant([[1.0, 2.0, 3.0]])}
    np.testing.assert_allclose(NullSpaceFusion(2)(vectors), [[1.0, 9.0]])
    np.testing.assert_allclose(NullSpaceFusion(2, k=1, cover=True)(vectors), [[1.0, 7.0]])
    # Two contents in turn: t0 a0 t1, where audio has one column ("audio" sorts first).
    audio = vectors | {"audio": tf.constant([[5.0]]), "id": tf.constant([[7.0, 0.0]])}
    np.testing.assert_allclose(NullSpaceFusion(4)(audio), [[5.0, 1.0, 7.0, 2.0]])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SumFusion(0), "dim must be at least 1. Received: 0"),
        (lambda: CrossAttentionFusion(4, layers=0), "must be at least 1. Received: 4, 0, 2"),
        (lambda: ExpertFusion(4, dropout=1.0), "Received: 8, 1.0"),
        (lambda: HybridExpertFusion(4, shared=0, specific=0), "Received: shared=0, specific=0"),
        (lambda: HybridExpertFusion(4, hidden=0), "hidden must be.*Received: 0"),
        (lambda: PreNormAttention(4, 0), "Received: 4, 0"),
        (lambda: DeltaFusion(4, bound=0), "bound must be positive or None. Received: 0"),
        (lambda: NullSpaceFusion(4, k=5), "k must be from 1 to dim=4, or None. Received: 5"),
        (lambda: NullSpaceFusion(2)(IDS), "'id' must have 1 columns. Received: 2"),
    ],
)
def test_arguments_out_of_range(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@keras.utils.register_keras_serializable("shop")
class TwiceFusion(SumFusion):
    def __init__(self, dim, times=2.0, **kwargs):
        super().__init__(dim, **kwargs)
        self.times = times

    def fuse(self, inputs, masks, training):
        return self.times * super().fuse(inputs, masks, training)

    def get_config(self):
        return super().get_config() | {"times": self.times}


def test_a_registered_class_of_ones_own_is_a_fusion():
    np.testing.assert_allclose(
        make_fusion("shop>TwiceFusion", 2, {"times": 3.0})(X), [[33.0, 66.0]]
    )
    config = keras.saving.serialize_keras_object(TwiceFusion(2, times=4.0))
    np.testing.assert_allclose(make_fusion(config, 2)(X), [[44.0, 88.0]])


@pytest.mark.parametrize(
    ("fusion", "options", "message"),
    [
        ("stir", {}, r"must be one of sum, concat, .*Received: 'stir'"),
        ("shop>Nothing", {}, r"whose module is imported.*Received: 'shop>Nothing'"),
        ("tfrec_fusion>IdEmbedding", {}, "registered name of a Fusion"),
        ("sum", {"k": 1}, "fusion 'sum' takes no options. Received: 'k'"),
        ("delta", {"bond": 1}, "fusion 'delta' takes bound. Received: 'bond'"),
        ("delta", {"name": "x"}, "fusion 'delta' takes bound. Received: 'name'"),
        ("delta", {"bound": -1}, "fusion_options: bound must be positive"),
        ({"class_name": "Nothing"}, {}, "must be a serialized Fusion.*Received: {'class_name'"),
        ({"class_name": "Nothing", "config": {}}, {}, "cannot be built"),
        (keras.saving.serialize_keras_object(SumFusion(3)), {}, "of dim 2. Received"),
        (
            keras.saving.serialize_keras_object(SumFusion(2)),
            {"k": 1},
            "already contains its options",
        ),
    ],
)
def test_what_is_no_fusion(fusion, options, message):
    with pytest.raises(InputError, match=message) as error:
        make_fusion(fusion, 2, options)
    assert "\n" not in str(error.value)


def test_every_fusion_says_its_source_and_when_to_pick_it():
    for name in FUSIONS:
        fusion = FUSIONS.class_of(name)
        text = inspect.getdoc(fusion)
        assert "Use it" in text, name
        assert len(inspect.getsource(inspect.getmodule(fusion)).splitlines()) < 120
