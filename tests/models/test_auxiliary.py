import numpy as np
import pandas as pd
import pytest

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.examples import as_of_examples, pair_examples
from tfrec_fusion.losses import InfoNCE
from tfrec_fusion.models import TwoTower
from tfrec_fusion.models.objectives.auxiliary import alignment_loss, distillation_loss
from tfrec_fusion.times import DAY

N_ITEMS = 12


@pytest.fixture(scope="module")
def events():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "user_id": [f"u{u}" for u in rng.integers(0, 8, 200)],
            "item_id": [f"i{i}" for i in rng.integers(0, N_ITEMS, 200)],
            "timestamp": rng.integers(0, 200 * int(DAY), 200),
        }
    )
    items = pd.DataFrame({"item_id": [f"i{i}" for i in range(N_ITEMS)]})
    vectors = {
        "text": rng.normal(size=(N_ITEMS, 6)).astype(np.float32),
        "image": rng.normal(size=(N_ITEMS, 5)).astype(np.float32),
    }
    return Interactions.from_frame(frame, Catalogue(items, vectors))


@pytest.fixture(scope="module")
def model(events):
    keras.utils.set_random_seed(0)
    return TwoTower(events, dim=4, alignment=0.5, distillation=0.25)


@pytest.mark.parametrize("candidates", [None, 5])
def test_both_are_added_in_training_alone(events, model, candidates):
    batch = next(iter(as_of_examples(events, 8, candidates=candidates, seed=0)))
    plain = TwoTower(events, dim=4, id_dropout=0.0, id_l2=0.0)
    both = TwoTower(events, dim=4, id_dropout=0.0, id_l2=0.0, alignment=0.5, distillation=0.25)
    for layer in ("tower", "user_tower", "trend"):
        getattr(both, layer).set_weights(getattr(plain, layer).get_weights())
    expected = plain.compute_loss(batch)
    np.testing.assert_allclose(both.compute_loss(batch), expected, rtol=1e-5)
    expected += 0.5 * alignment_loss(both, batch) + 0.25 * distillation_loss(both, batch)
    np.testing.assert_allclose(both.compute_loss(batch, training=True), expected, rtol=1e-5)


def test_alignment_is_over_the_targets_that_were_seen(events, model):
    batch = next(iter(as_of_examples(events, 4, seed=0)))
    targets = np.unique(batch["target"][:, 1])
    seen = batch["is_warm"].numpy()
    seen[targets[0]] = False
    loss = alignment_loss(model, batch | {"is_warm": tf.constant(seen)})
    rows = targets[1:]
    inputs, _ = model.tower.inputs(rows, seen[rows])
    content = tf.concat([inputs["image"], inputs["text"]], 1)
    expected = InfoNCE()(inputs["id"], model.content_view(content))
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_distillation_teaches_the_scores_without_ids(events, model):
    batch = next(iter(as_of_examples(events, 4, seed=0)))
    assert distillation_loss(model, batch) > 0
    blank = TwoTower(events, dim=4, distillation=1.0)
    blank.tower.ids.table.assign(tf.zeros_like(blank.tower.ids.table))
    np.testing.assert_allclose(distillation_loss(blank, batch), 0.0, atol=1e-6)


def test_pairs_can_be_aligned_and_not_distilled(events):
    batch = next(iter(pair_examples(events, 16)))
    aligned = TwoTower(events, dim=4, user="id", trend=False, alignment=0.1)
    assert np.isfinite(aligned.compute_loss(batch, training=True))
    distilled = TwoTower(events, dim=4, user="id", trend=False, distillation=0.1)
    with pytest.raises(InputError, match="distillation needs candidates"):
        distilled.compute_loss(batch, training=True)


@pytest.mark.parametrize("options", [{"use_ids": False}, {"vectors": []}])
@pytest.mark.parametrize("option", ["alignment", "distillation"])
def test_both_need_ids_and_vectors(events, options, option):
    with pytest.raises(InputError, match=rf"{option} needs ids and vectors. Received: 0.1"):
        TwoTower(events, dim=4, **{option: 0.1}, **options)


def test_both_save_and_load(events, model, tmp_path):
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    batch = next(iter(as_of_examples(events, 4, seed=0)))
    np.testing.assert_allclose(alignment_loss(loaded, batch), alignment_loss(model, batch))
