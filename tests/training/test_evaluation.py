import numpy as np
import pytest

from tfrec_fusion._compat import keras
from tfrec_fusion.errors import InputError
from tfrec_fusion.evaluation import evaluate, evaluate_ranker
from tfrec_fusion.examples import ranking_examples
from tfrec_fusion.models import Ranker, TwoTower
from tfrec_fusion.training import Evaluation
from tfrec_fusion.training.inputs import load_split


@pytest.fixture(scope="module")
def part(small_shop):
    from tfrec_fusion.training import RunConfig

    data = {name: str(small_shop / f"{name}.parquet") for name in ("interactions", "items")}
    data["vectors"] = {"text": str(small_shop / "text.npy")}
    return load_split(RunConfig.of({"data": data})).validation()


class _Spoil(keras.callbacks.Callback):
    """Turns the item vectors round after an epoch, so that the ranking gets worse."""

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            for weight in self.model.trainable_weights:
                weight.assign(-weight)


@pytest.mark.slow
def test_callbacks_of_keras_work_on_the_evaluation_wherever_it_stands(part, tmp_path):
    keras.utils.set_random_seed(0)
    model = TwoTower(part.train, dim=8)
    model.compile(keras.optimizers.SGD(0.0))
    stop = keras.callbacks.EarlyStopping(
        "val_ndcg@10", mode="max", patience=1, restore_best_weights=True
    )
    best = keras.callbacks.ModelCheckpoint(
        str(tmp_path / "{epoch}.keras"), monitor="val_recall@20", mode="max", save_best_only=True
    )
    history = model.fit(
        part.train.batches(64),
        validation_data=part.test.batches(64, known=part.train),
        epochs=9,
        callbacks=[stop, best, _Spoil(), Evaluation(part)],
        verbose=0,
    ).history
    assert len(history["val_ndcg@10"]) == len(history["val_loss"]) == 2
    assert history["val_ndcg@10"][1] < history["val_ndcg@10"][0]
    total = evaluate(model, part, slices=False, bootstrap=0).metrics["total"]
    # The best weights are there again, and they are what was saved.
    assert stop.best == history["val_ndcg@10"][0] == pytest.approx(total["ndcg@10"])
    assert history["val_recall@20"][0] == pytest.approx(total["recall@20"])
    loaded = keras.models.load_model(tmp_path / "1.keras")
    assert evaluate(loaded, part, slices=False, bootstrap=0).metrics["total"] == pytest.approx(
        total
    )


def test_between_evaluations_patience_waits(part):
    model = TwoTower(part.train, dim=8)
    model.compile(keras.optimizers.SGD(0.0))
    stop = keras.callbacks.EarlyStopping("val_ndcg@10", mode="max", patience=2)
    callbacks = [stop, Evaluation(part, every=2, k=[10])]
    history = model.fit(part.train.batches(64), epochs=7, callbacks=callbacks, verbose=0).history
    # After epochs 2, 4 and 6, of which the last two are no better.
    assert len(history["val_ndcg@10"]) == 3
    assert len(history["loss"]) == 6
    assert "val_ndcg@20" not in history
    with pytest.raises(InputError, match=r"Evaluation: every must be at least 1. Received: 0"):
        Evaluation(part, every=0)


@pytest.mark.slow
def test_a_ranker_gets_its_gauc(part):
    model = Ranker(part.train, dim=8)
    model.compile("adam", steps_per_execution=2)
    batches = ranking_examples(part.train, 256)
    history = model.fit(batches, callbacks=[Evaluation(part)], verbose=0).history
    assert history["val_gauc"] == [pytest.approx(evaluate_ranker(model, part).gauc, abs=1e-6)]
    assert np.isfinite(history["val_gauc"]).all()
