"""Models of any fusion and of several stores train, save, export and score as before."""

import numpy as np
import pytest

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.embeddings.aligned import AlignedVectors
from tfrec_fusion.errors import InputError
from tfrec_fusion.examples import as_of_examples
from tfrec_fusion.export import export
from tfrec_fusion.features import State
from tfrec_fusion.layers import FUSIONS
from tfrec_fusion.models import TwoTower

# Trained and loaded in every run of the tests: experts draw, null spaces have narrow ids.
_QUICK = ("cross_attention", "expert", "null_space")
STORAGE = {"text": "int8", "image": "float16", "audio": "float16"}


@pytest.fixture(scope="module")
def shop(make_shop_events):
    """Events over items with three stores, each of which lacks some items."""
    events, rng = make_shop_events(), np.random.default_rng(1)
    n_items = len(events.catalogue)
    for name, columns in (("text", 12), ("image", 6), ("audio", 5)):
        mask = rng.random(n_items) < 0.7
        values = rng.normal(size=(n_items, columns)).astype(np.float32) * mask[:, None]
        events.catalogue.vectors[name] = AlignedVectors(values, mask)
    return events


def _trained(events, **options):
    keras.utils.set_random_seed(0)
    model = TwoTower(events, dim=8, trend_dim=2, trend_hidden=2, **options)
    model.compile(keras.optimizers.Adam(0.05))
    model.fit(as_of_examples(events, 64).take(2), verbose=0)
    return model


def _check_export(model, events, folder):
    expected = model.scorer(State.of(events))(np.arange(len(events.users), dtype=np.int32))
    served = tf.saved_model.load(str(export(model, events, folder)))
    items = np.tile(events.catalogue.vocabulary.ids, (len(events.users), 1))
    scores = served.signatures["score"](
        user_id=tf.constant(events.users.ids), item_id=tf.constant(items)
    )["score"]
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "fusion",
    [name if name in _QUICK else pytest.param(name, marks=pytest.mark.slow) for name in FUSIONS],
)
def test_every_fusion_trains_saves_and_loads(fusion, shop, tmp_path):
    model = _trained(shop, fusion=fusion, vectors=["text", "image"], modality_dropout=0.2)
    users = np.arange(5, dtype=np.int32)
    expected = model.scorer(State.of(shop))(users)
    assert np.isfinite(expected).all()
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.get_config() == model.get_config()
    np.testing.assert_allclose(loaded.scorer(State.of(shop))(users), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "fusion",
    [
        pytest.param(name, marks=pytest.mark.slow if name in _QUICK else pytest.mark.acceptance)
        for name in FUSIONS
    ],
)
def test_every_fusion_exports(fusion, shop, tmp_path):
    _check_export(_trained(shop, fusion=fusion), shop, tmp_path / "shop")


@pytest.mark.slow
def test_three_stores_of_their_own_storage(shop, tmp_path):
    model = _trained(shop, storage=STORAGE)
    assert {name: layer.storage for name, layer in model.tower.frozen.items()} == STORAGE
    _check_export(model, shop, tmp_path / "shop")
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.tower.frozen["text"].matrix.dtype == tf.int8
    users = np.arange(5, dtype=np.int32)
    np.testing.assert_allclose(
        loaded.scorer(State.of(shop))(users), model.scorer(State.of(shop))(users), atol=1e-5
    )


def test_storage_of_a_store_that_is_not_used(shop):
    with pytest.raises(
        InputError, match=r"TwoTower: storage: 1 names are not vectors of the model; .* 'video'"
    ):
        TwoTower(shop, dim=4, storage={"video": "int8"})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fusion": "stir"}, "^TwoTower: fusion: must be one of sum, [^R]*Received: 'stir'$"),
        (
            {"fusion": "delta", "fusion_options": {"bond": 1}},
            "^TwoTower: fusion_options: fusion 'delta' takes bound. Received: {'bond': 1}$",
        ),
        ({"fusion": "delta", "fusion_options": {"bound": 0}}, "fusion_options: bound must be"),
        ({"modality_dropout": 1.0}, "TwoTower: modality_dropout"),
        ({"storage": "int4"}, "TwoTower: storage: must be one of float32, bfloat16, float16, int8"),
        ({"storage": {"text": "int4"}}, "TwoTower: storage: must be one of float32"),
    ],
)
def test_bad_options(shop, options, message):
    with pytest.raises(InputError, match=message) as error:
        TwoTower(shop, dim=4, **options)
    assert "\n" not in str(error.value)
