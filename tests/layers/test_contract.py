"""What every layer and loss must do: eager = graph, config, save and load, precision, masks."""

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from interaction_cases import INTERACTIONS

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers import (
    FUSIONS,
    CausalAttention,
    EventModulation,
    FrozenVectors,
    HistoryMatch,
    HistoryPooling,
    HSTUBlock,
    IdEmbedding,
    InversePosition,
    LiGRBlock,
    PreNormAttention,
    RelativeBias,
    RepeatScore,
    ResumableDropout,
    SASRecBlock,
    SideFeatures,
    Standardise,
)
from tfrec_fusion.losses import (
    Distillation,
    InBatchSoftmax,
    InfoNCE,
    MultiTargetSoftmax,
    NormalisedSquared,
    SampledSoftmax,
)
from tfrec_fusion.models import (
    BACKBONES,
    HEADS,
    USER_TOWERS,
    ItemTower,
    PooledHistory,
    SequenceTower,
    TrendMatch,
)

RNG = np.random.default_rng(0)


def _vectors(batch, *columns):
    return {
        f"v{i}": tf.constant(RNG.normal(size=(batch, d)), tf.float32) for i, d in enumerate(columns)
    }


def _fusion_case(fusion):
    """A fusion with noise on its weights, as many start at zero, and its id and contents."""
    columns = (4, 4) if fusion.projected else (3, 5)

    def inputs(batch):
        vectors = _vectors(batch, *columns)
        vectors["id"] = _vectors(batch, fusion(4).id_dim)["v0"]
        return vectors, {name: tf.constant(RNG.random(batch) < 0.6) for name in vectors}

    def make(**options):
        layer = fusion(4, **options)
        layer(*inputs(2))
        return _with_noise(layer)

    return make, inputs


def _with_noise(layer):
    for weight in layer.trainable_weights:
        weight.assign_add(0.1 * RNG.normal(size=weight.shape).astype(np.float32))
    return layer


def _filled_side(**options):
    """Three categories of 3 features in 5 columns, and 1 number, for 7 rows."""
    slots = [(1, "sum"), (2, "mean"), (2, "attention")]
    layer = SideFeatures(7, 3, slots, 1, 4, 2, 3, **options)
    rows = RNG.integers([-1, 1, -1, 1, -1], [1, 3, 3, 3, 3], (7, 5))
    layer.assign(rows, RNG.normal(size=(7, 1)).astype(np.float32))
    return _with_noise(layer)


def _filled_modulation(**options):
    """Three categories of 2 features in 3 columns, and 1 number."""
    layer = EventModulation(4, 3, [(1, "sum"), (2, "mean")], 1, 2, 3, **options)
    layer(*_events(2))
    return _with_noise(layer)


def _events(batch):
    categories = RNG.integers(-1, 3, (batch, 3)).astype(np.int32)
    numbers = RNG.normal(size=(batch, 1)).astype(np.float32)
    return _vectors(batch, 4)["v0"], tf.constant(categories), tf.constant(numbers)


def _filled_repeats(**options):
    layer = RepeatScore(3, **options)
    layer(*_events_of_users(2))
    return _with_noise(layer)


def _events_of_users(batch):
    """Three events a user, of a few items."""
    users = _users(batch)
    names = ("history_vector", "history_item", "history_row", "history_age")
    return tuple(users[name] for name in names)


def _filled_frozen(**options):
    layer = FrozenVectors(7, 3, 4, **options)
    layer.assign(np.linspace(-1, 2, 21).reshape(7, 3), [True, False, *[True] * 5])
    return layer


def _rows(batch, n=7):
    return tf.constant(RNG.integers(-1, n, batch), tf.int32)


def _users(batch):
    """What a user tower is told of three items a user."""
    return {
        "user": _rows(batch, 5),
        "history_vector": _vectors(3 * batch, 4)["v0"],
        "history_item": tf.constant(RNG.integers(0, 7, 3 * batch), tf.int32),
        "history_row": tf.constant(np.sort(RNG.integers(0, batch, 3 * batch)), tf.int32),
        "history_age": tf.constant(RNG.random(3 * batch) * 50, tf.float32),
        "history_size": tf.constant(RNG.random((batch, 2)), tf.float32),
    }


def _sequences(batch):
    """Vectors of 5 positions, of which the first ones may be padding, and their ages."""
    padding = RNG.integers(0, 5, (batch, 1))
    ages = np.sort(RNG.random((batch, 5)) * 50)[:, ::-1]
    return (
        tf.constant(RNG.normal(size=(batch, 5, 4)), tf.float32),
        tf.constant(np.arange(5) >= padding),
        tf.constant(ages, tf.float32),
    )


SEQUENCE_TOWERS = {
    name: USER_TOWERS.class_of(name)
    for name in USER_TOWERS
    if issubclass(USER_TOWERS.class_of(name), SequenceTower)
}


# name -> (makes the layer, makes its positional inputs for a batch size)
CASES = {
    **{name: _fusion_case(FUSIONS.class_of(name)) for name in FUSIONS},
    "attention": (
        lambda **k: PreNormAttention(4, 2, **k),
        lambda b: (
            tf.constant(RNG.normal(size=(b, 2, 4)), tf.float32),
            tf.constant(RNG.normal(size=(b, 3, 4)), tf.float32),
            tf.constant(RNG.random((b, 3)) < 0.6),
        ),
    ),
    "causal_attention": (
        lambda **k: CausalAttention(4, 2, 0.5, **k),
        lambda b: (_sequences(b)[0], *_sequences(b)[:2]),
    ),
    "sasrec_block": (lambda **k: SASRecBlock(4, 2, **k), lambda b: _sequences(b)[:2]),
    "ligr_block": (lambda **k: LiGRBlock(4, 2, **k), lambda b: _sequences(b)[:2]),
    "hstu_block": (lambda **k: HSTUBlock(4, 2, max_len=5, **k), _sequences),
    "relative_bias": (lambda **k: RelativeBias(5, **k), lambda b: _sequences(b)[2:]),
    "inverse_position": (lambda **k: InversePosition(6, 4, **k), lambda b: _sequences(b)[:1]),
    "dropout": (lambda **k: ResumableDropout(0.5, **k), lambda b: _sequences(b)[:1]),
    **{
        name: (lambda tower=tower, **k: tower(4, 5, 7, max_len=3, **k), lambda b: (_users(b),))
        for name, tower in SEQUENCE_TOWERS.items()
    },
    "id": (lambda **k: IdEmbedding(7, 4, 0.5, **k), lambda b: (_rows(b),)),
    "id, zero where unknown": (
        lambda **k: IdEmbedding(7, 4, unknown=False, **k),
        lambda b: (_rows(b),),
    ),
    "frozen": (lambda **k: FrozenVectors(7, 3, 4, **k), lambda b: (_rows(b),)),
    "frozen16": (lambda **k: FrozenVectors(7, 3, storage="float16", **k), lambda b: (_rows(b),)),
    "frozen8": (lambda **k: _filled_frozen(storage="int8", **k), lambda b: (_rows(b),)),
    "side_features": (lambda **k: _filled_side(**k), lambda b: (_rows(b),)),
    "event_modulation": (lambda **k: _filled_modulation(**k), _events),
    "repeat_score": (lambda **k: _filled_repeats(**k), _events_of_users),
    "standardise": (
        lambda **k: Standardise(2, **k),
        lambda b: (tf.constant(RNG.normal(size=(b, 3)), tf.float32),),
    ),
    "history": (
        lambda **k: HistoryPooling(10.0, **k),
        lambda b: (
            tf.constant(RNG.normal(size=(3 * b, 4)), tf.float32),
            tf.constant(np.sort(RNG.integers(0, b, 3 * b)), tf.int32),
            tf.constant(RNG.random(3 * b) * 50, tf.float32),
            tf.constant(b),
        ),
    ),
    "match": (
        lambda **k: HistoryMatch(10.0, **k),
        lambda b: (
            tf.constant(RNG.normal(size=(b, 2, 4)), tf.float32),
            tf.constant(RNG.normal(size=(b, 3, 4)), tf.float32),
            tf.constant(RNG.random((b, 3)) < 0.6),
            tf.constant(RNG.random((b, 3)) * 50, tf.float32),
        ),
    ),
    "softmax": (
        lambda **k: MultiTargetSoftmax(**k),
        lambda b: (
            tf.constant(RNG.normal(size=(b, 6)), tf.float32),
            tf.constant([[row, row % 3] for row in range(b)], tf.int32),
            tf.constant([[row, 3 + row % 3] for row in range(b)], tf.int32),
        ),
    ),
    "normalised_squared": (
        lambda **k: NormalisedSquared(**k),
        lambda b: (
            tf.constant(RNG.normal(size=(b, 6)), tf.float32),
            tf.constant([[row, row % 3] for row in range(b)], tf.int32),
            tf.constant([True] * 4 + [False] * 2),
            tf.constant(RNG.random(b), tf.float32),
        ),
    ),
    "in_batch_softmax": (
        lambda **k: InBatchSoftmax(2, **k),
        lambda b: (*_vectors(b, 4, 4).values(), _rows(b), tf.math.log(tf.random.uniform([b]))),
    ),
    "sampled_softmax": (
        lambda **k: SampledSoftmax(2, **k),
        lambda b: (*_vectors(b, 4, 4).values(), _vectors(6, 4)["v0"], _rows(b), _rows(6)),
    ),
    "info_nce": (
        lambda **k: InfoNCE(**k),
        lambda b: (*_vectors(b, 4, 4).values(), tf.constant(RNG.random(b) < 0.6)),
    ),
    "info_nce, learned": (
        lambda **k: InfoNCE(0.3, learned=True, **k),
        lambda b: (*_vectors(b, 4, 4).values(), tf.constant(RNG.random(b) < 0.6)),
    ),
    "distillation": (
        lambda **k: Distillation(2.0, **k),
        lambda b: (*_vectors(b, 6, 6).values(), tf.constant([[0, 1]]), tf.zeros([6])),
    ),
    "pooled_history": (
        lambda **k: PooledHistory(4, 5, 7, "both", weighted=True, **k),
        lambda b: (_users(b),),
    ),
    "trend_match": (
        lambda **k: TrendMatch(2, 3, 1, **k),
        lambda b: (tf.constant(RNG.normal(size=(b, 3)), tf.float32),),
    ),
    **INTERACTIONS,
    **{
        f"head {name}": (
            functools.partial(HEADS.class_of(name), "taken", hidden=[3]),
            lambda b: (tf.constant(RNG.normal(size=(b, 2, 4)), tf.float32),),
        )
        for name in HEADS
    },
    "item_tower": (
        lambda **k: ItemTower(7, 4, {"text": 3}, "gate", True, 0.5, **k),
        lambda b: (_rows(b), tf.constant(RNG.random(b) < 0.5)),
    ),
}


def _numpy(output):
    return [np.asarray(t, np.float32) for t in tf.nest.flatten(output)]


def _same(a, b, tolerance=1e-5):
    for x, y in zip(_numpy(a), _numpy(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance)


# Backbones of layers that are cases themselves.
SLOW = {f"backbone {name}" for name in BACKBONES} - {"backbone auto_int", "backbone bst"}


@pytest.fixture(
    params=[pytest.param(n, marks=[pytest.mark.slow] if n in SLOW else []) for n in CASES]
)
def case(request):
    keras.utils.set_random_seed(1)
    make, inputs = CASES[request.param]
    return make, inputs


def test_eager_equals_graph_at_any_batch_size(case):
    make, inputs = case
    layer = make()
    graph = tf.function(lambda *a: layer(*a), reduce_retracing=True)
    for batch in (5, 1, 3):
        arguments = inputs(batch)
        _same(layer(*arguments), graph(*arguments))


def test_config_rebuilds_the_layer(case):
    make, inputs = case
    layer, arguments = make(), inputs(4)
    expected = layer(*arguments)
    twin = type(layer).from_config(layer.get_config())
    twin(*arguments)
    twin.set_weights(layer.get_weights())
    _same(expected, twin(*arguments))
    assert twin.get_config() == layer.get_config()
    assert keras.saving.get_registered_name(type(layer)).startswith("tfrec_fusion>")


def test_saved_model_gives_equal_outputs(case, tmp_path):
    make, inputs = case
    module = tf.Module()
    module.layer, arguments = make(), inputs(4)
    expected = module.layer(*arguments)
    module.run = tf.function(lambda *a: module.layer(*a))
    module.run.get_concrete_function(*arguments)
    tf.saved_model.save(module, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    _same(expected, loaded.run(*arguments))


def test_mixed_precision_stays_close(case):
    make, inputs = case
    arguments = inputs(4)
    full, half = make(), make(dtype="mixed_bfloat16")
    expected = full(*arguments)
    half(*arguments)
    half.set_weights(full.get_weights())
    output = half(*arguments)
    assert all(np.isfinite(value).all() for value in _numpy(output))
    _same(expected, output, tolerance=0.05)


@pytest.fixture(scope="module", params=FUSIONS)
def fusion(request):
    """A fusion layer and its inputs for four rows."""
    keras.utils.set_random_seed(1)
    make, inputs = CASES[request.param]
    return make(), inputs(4)[0]


def test_a_masked_input_has_no_influence(fusion):
    layer, vectors = fusion
    for name in vectors:
        masks = {name: tf.zeros([4], tf.bool)}
        _same(layer(vectors, masks), layer(vectors | {name: vectors[name] + 100.0}, masks))


@settings(max_examples=15, deadline=None)
@given(present=arrays(bool, (3, 4)), junk=st.sampled_from([np.nan, np.inf, -1e30]))
def test_any_inputs_may_be_missing_in_any_row(fusion, present, junk):
    layer, vectors = fusion
    masks = dict(zip(sorted(vectors), tf.constant(present), strict=True))
    filled = {
        name: tf.where(masks[name][:, None], vector, junk) for name, vector in vectors.items()
    }
    output = layer(filled, masks)
    assert np.isfinite(output).all()
    _same(output, layer(vectors, masks))
    # A row does not depend on what the others have.
    one = layer(
        {name: vector[:1] for name, vector in vectors.items()},
        {name: mask[:1] for name, mask in masks.items()},
    )
    _same(output[:1], one)


def test_gradients_are_finite_in_training_where_things_are_missing(fusion):
    layer, vectors = fusion
    vectors = {name: tf.Variable(tf.zeros_like(vector)) for name, vector in vectors.items()}
    masks = dict(zip(vectors, tf.constant(np.eye(3, 4)) > 0, strict=True))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(vectors, masks, training=True) ** 2)
    gradients = tape.gradient(loss, [*layer.trainable_weights, *vectors.values()])
    assert all(np.isfinite(g).all() for g in gradients if g is not None)


def test_fusion_refuses_other_names_than_it_was_built_with(fusion):
    layer, vectors = fusion
    with pytest.raises(ValueError, match="Received"):
        layer({"other": vectors["v0"]}, {})


@pytest.mark.parametrize("name", FUSIONS)
@pytest.mark.parametrize("kept", [["id"], ["v0"], ["v0", "v1"], ["id", "v1"]])
def test_any_set_of_inputs_can_be_fused(name, kept):
    vectors, _ = CASES[name][1](3)
    layer = FUSIONS.class_of(name)(4)
    output = layer({key: vectors[key] for key in kept})
    assert output.shape == (3, 4)
    assert np.isfinite(output).all()
