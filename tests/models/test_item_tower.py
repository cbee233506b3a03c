import numpy as np
import pytest

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.layers import FUSIONS
from tfrec_fusion.models import ItemTower

N, DIM = 60, 16
ROWS, SEEN = tf.range(N), tf.ones([N], tf.bool)


def _unit(columns, seed):
    vectors = np.random.default_rng(seed).normal(size=(N, columns))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def _tower(fusion="sum", **options):
    keras.utils.set_random_seed(3)
    tower = ItemTower(N, DIM, {"text": DIM, "image": 5}, fusion, **options)
    tower(ROWS, SEEN)
    tower.frozen["text"].assign(_unit(DIM, 0), np.arange(N) % 5 > 0)
    tower.frozen["image"].assign(_unit(5, 1), np.arange(N) % 3 > 0)
    return tower


@pytest.mark.parametrize("fusion", FUSIONS)
def test_starts_as_the_text_with_a_small_id(fusion):
    keras.utils.set_random_seed(3)
    tower = ItemTower(N, DIM, {"text": DIM}, fusion)
    tower(ROWS, SEEN)
    text = _unit(DIM, 0)
    tower.frozen["text"].assign(text, np.ones(N, bool))
    vectors = tower(ROWS, SEEN).numpy()
    pairs = np.triu_indices(N, 1)
    similarity = np.corrcoef((vectors @ vectors.T)[pairs], (text @ text.T)[pairs])[0, 1]
    assert similarity > 0.9
    assert 0.9 < np.linalg.norm(vectors, axis=1).mean() < 1.1


@pytest.mark.parametrize("fusion", FUSIONS)
def test_hidden_inputs_have_no_influence(fusion):
    tower = _tower(fusion)
    everything = tower(ROWS, SEEN).numpy()
    hidden = tower(ROWS, SEEN, hidden=("image", "id")).numpy()
    tower.ids.table.assign_add(tf.ones_like(tower.ids.table))
    tower.frozen["image"].assign(_unit(5, 2), np.ones(N, bool))
    np.testing.assert_allclose(tower(ROWS, SEEN, hidden=("image", "id")), hidden, atol=1e-6)
    assert np.abs(tower(ROWS, SEEN).numpy() - everything).max() > 0.01
    inputs, masks = tower.inputs(ROWS, SEEN)
    np.testing.assert_allclose(tower.fusion(inputs, masks), tower(ROWS, SEEN), atol=1e-6)
    assert np.isfinite(tower(ROWS, SEEN, hidden=tuple(inputs))).all()


def test_projects_where_the_fusion_wants_it_so():
    assert _tower("sum").frozen["image"].dim == DIM
    assert _tower("concat").frozen["image"].dim is None
    assert _tower("null_space", fusion_options={"k": 3}).ids.table.shape == (N, 3)


@pytest.mark.parametrize("rows", [ROWS, tf.concat([ROWS, ROWS], 0)])
def test_modality_dropout_hides_each_input_but_never_all(rows):
    tower = _tower("concat", modality_dropout=0.5)
    seen = tf.ones_like(rows, tf.bool)
    _, before = tower.inputs(rows, seen)
    hidden = dict.fromkeys(before, 0.0)
    for _ in range(50):
        _, masks = tower.inputs(rows, seen, training=True)
        stacked = np.stack(list(masks.values()))
        assert stacked.any(0).all()
        np.testing.assert_array_equal(stacked[:, :N], stacked[:, -N:])
        for name, mask in masks.items():
            assert not (mask & ~before[name]).numpy().any()
            hidden[name] += (before[name] & ~mask).numpy().sum() / before[name].numpy().sum() / 50
    # An item with all three loses one with probability .5 - .5^3 / 3 = .458, with two .375, and an
    # item with its id alone never: text (4/5 of items; image beside it in 2/3) .431.
    assert hidden["text"] == pytest.approx(0.431, abs=0.03)
    _, without = tower.inputs(rows, seen)
    for name, mask in without.items():
        np.testing.assert_array_equal(mask, before[name])


def test_a_hidden_id_is_the_unknown_one_where_the_fusion_has_that():
    tower = _tower("sum", modality_dropout=0.9)
    tower.ids.unknown.assign(tf.fill([DIM], 7.0))
    inputs, masks = tower.inputs(ROWS, SEEN, training=True)
    assert masks["id"].numpy().all()
    assert 0 < (inputs["id"].numpy()[:, 0] == 7).sum() < N


def test_storage_by_name():
    tower = _tower(storage={"text": "int8"})
    assert tower.frozen["text"].storage == "int8"
    assert tower.frozen["image"].storage == "float32"
    assert {layer.storage for layer in _tower(storage="float16").frozen.values()} == {"float16"}
    np.testing.assert_allclose(tower(ROWS, SEEN), _tower()(ROWS, SEEN), atol=0.03)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"modality_dropout": 1.0}, "modality_dropout.*Received: 1.0"),
        ({"storage": "int4"}, "storage must be one of.*int4"),
        ({"fusion": "delta", "fusion_options": {"k": 1}}, "takes bound. Received: 'k'"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        _tower(**options)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_a_hidden_id_is_the_unknown_id_that_id_dropout_trains(fusion):
    tower = _tower(fusion, id_dropout=0.5)
    for weight in tower.trainable_weights:
        weight.assign_add(tf.random.normal(weight.shape, stddev=0.1))
    hidden, masks = tower.inputs(ROWS, SEEN, hidden=["id"])
    dropped, dropped_masks = tower.inputs(ROWS, SEEN, training=True)
    if tower.fusion.unknown_id:
        rows = (dropped["id"].numpy() == tower.ids.unknown.numpy()).all(1)
        np.testing.assert_array_equal(hidden["id"], np.tile(tower.ids.unknown, (N, 1)))
    else:
        rows = ~dropped_masks["id"].numpy()
    # Of 60 ids each is hidden with probability 1/2.
    assert 10 < rows.sum() < 50
    for name in hidden:
        np.testing.assert_array_equal(masks[name].numpy()[rows], dropped_masks[name].numpy()[rows])
        shown = masks[name].numpy()[rows][:, None]
        np.testing.assert_array_equal(
            np.where(shown, hidden[name].numpy()[rows], 0),
            np.where(shown, dropped[name].numpy()[rows], 0),
        )
    unseen = tower(ROWS, tf.zeros([N], tf.bool))
    np.testing.assert_array_equal(tower(ROWS, SEEN, hidden=["id"]), unseen)


def test_a_hidden_id_by_hand():
    tower = ItemTower(2, 2, {}, "sum", initial=True)
    tower(tf.constant([0]), tf.constant([True]))
    tower.frozen["initial"].assign([[1.0, 2.0], [3.0, 4.0]], [True, True])
    tower.ids.table.assign([[10.0, 10.0], [20.0, 20.0]])
    tower.ids.unknown.assign([0.5, -0.5])
    rows, seen = tf.constant([0, 1]), tf.constant([True, True])
    # The vectors plus the unknown id; without the vectors the unknown id alone.
    np.testing.assert_allclose(tower(rows, seen, hidden=["id"]), [[1.5, 1.5], [3.5, 3.5]])
    np.testing.assert_allclose(tower(rows, seen, hidden=["id", "initial"]), [[0.5, -0.5]] * 2)
