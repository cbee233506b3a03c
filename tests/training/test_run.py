import errno
import json
import os
import shutil

import numpy as np
import pandas as pd
import pytest

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.embeddings import SpectralFusion
from tfrec_fusion.errors import InputError
from tfrec_fusion.training import Run, RunConfig
from tfrec_fusion.training.run_training import RunTraining


class _Stop(keras.callbacks.Callback):
    """Breaks a training off after an epoch's state is on disk, or in the middle of the next."""

    def __init__(self, epoch, batch=None):
        super().__init__()
        self.epoch, self.batch, self.now = epoch, batch, 0

    def on_epoch_begin(self, epoch, logs=None):
        self.now = epoch

    def on_epoch_end(self, epoch, logs=None):
        if self.batch is None and epoch + 1 == self.epoch:
            raise KeyboardInterrupt

    def on_train_batch_end(self, batch, logs=None):
        # Steps that are run together end with the last of them.
        if self.batch is not None and batch >= self.batch and self.now == self.epoch:
            raise KeyboardInterrupt


def _weights(run):
    return {v.name: v.numpy() for v in run.model().variables if "metric" not in v.name}


def test_a_run_leaves_what_it_says(config, tmp_path):
    run = Run.start(tmp_path / "run", config())
    assert not run.done
    metrics = run.train()
    assert run.done
    assert metrics == json.loads((tmp_path / "run/metrics.json").read_text())
    assert len(metrics["history"]["softmax_loss"]) == 2
    total = metrics["evaluation"]["slices"]["total"]["metrics"]
    assert total == pytest.approx(run.evaluate().metrics["total"])
    # The config is complete, is read back, and starts the same training elsewhere.
    again = Run.start(tmp_path / "again", RunConfig.load(tmp_path / "run/config.yaml"))
    assert again.config == run.config
    assert set(run.config.recorded.inputs) == {"interactions", "items", "vectors.text"}
    assert run.config.recorded.versions["tensorflow"] == tf.__version__
    again.train()
    for name, values in _weights(run).items():
        np.testing.assert_allclose(values, _weights(again)[name], atol=1e-5, err_msg=name)


@pytest.mark.parametrize(
    ("options", "stop"),
    [
        pytest.param({}, _Stop(2, batch=1), marks=pytest.mark.slow, id="as_of, within an epoch"),
        pytest.param(
            {"split": {"kind": "random"}},
            _Stop(1),
            marks=pytest.mark.slow,
            id="autoencoder, between epochs",
        ),
    ],
)
def test_what_is_broken_off_ends_as_if_it_had_not_been(config, tmp_path, options, stop):
    options = options | {"epochs": 3}
    if "split" in options:
        options["data"] = config().data.model_dump() | {"min_rating": 2}
    whole = Run.start(tmp_path / "whole", config(**options))
    whole.train()
    broken = Run.start(tmp_path / "broken", config(**options))
    with pytest.raises(KeyboardInterrupt):
        broken.train([stop])
    done = broken.epochs_done
    assert 1 <= done < 3
    resumed = Run.start(tmp_path / "broken", config(**options))
    assert resumed.epochs_done == done
    history = resumed.train()["history"]
    assert history["softmax_loss"] == pytest.approx(
        whole.metrics()["history"]["softmax_loss"], abs=1e-5
    )
    expected = _weights(whole)
    for name, values in _weights(resumed).items():
        np.testing.assert_allclose(values, expected[name], atol=1e-5, err_msg=name)


def test_another_config_or_a_strange_folder_is_refused(config, tmp_path):
    Run.start(tmp_path / "run", config(seed=4, epochs=1))
    # Nothing was trained yet, so nothing is lost by another config.
    run = Run.start(tmp_path / "run", config(epochs=1))
    with pytest.raises(InputError, match=r"no epoch of .* is complete"):
        run.model()
    run.train()
    with pytest.raises(InputError, match="another config: seed is 0 there and 3 here"):
        Run.start(tmp_path / "run", config(seed=3, epochs=1))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").touch()
    with pytest.raises(InputError, match="is not empty and holds no run"):
        Run.start(tmp_path / "mine", config())
    with pytest.raises(InputError, match=r"no config\.yaml in the folder"):
        Run.open(tmp_path / "mine")


@pytest.mark.slow
def test_changed_inputs_are_refused(config, small_shop, tmp_path):
    frame = pd.read_parquet(small_shop / "interactions.parquet")
    frame.to_parquet(tmp_path / "events.parquet")
    data = config().data.model_dump() | {"interactions": str(tmp_path / "events.parquet")}
    Run.start(tmp_path / "run", config(data=data, epochs=1)).train()
    frame.iloc[:-1].to_parquet(tmp_path / "events.parquet")
    with pytest.raises(InputError, match="interactions: the content has changed"):
        Run.start(tmp_path / "run", config(data=data, epochs=1))
    with pytest.raises(InputError, match="interactions: the content has changed"):
        _ = Run.open(tmp_path / "run").split


def test_two_trainings_of_one_folder_are_refused(config, tmp_path):
    run = Run.start(tmp_path / "run", config())

    class Second(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            Run.open(run.folder).train()

    with pytest.raises(InputError, match="another process is training"):
        run.train([Second()])


@pytest.mark.slow
def test_without_test_events_there_is_no_evaluation(config, tmp_path):
    run = Run.start(tmp_path / "run", config(split={"kind": "none"}, epochs=1))
    assert "evaluation" not in run.train()
    with pytest.raises(InputError, match=r"split\.kind is 'none'"):
        run.evaluate()
    with pytest.raises(InputError, match=r"split\.kind is 'none'"):
        next(run.evaluate_baselines())


def test_a_spectral_start_needs_no_training(config, tmp_path):
    given = {"regularization": 200.0, "popularity_power": 0.0}
    run = Run.start(tmp_path / "run", config(spectral=given, epochs=0))
    assert run.train()["history"] == {}
    assert run.config.model.vectors == []
    split, model = run.split, run.model()
    text = split.train.catalogue.vectors["text"]
    start = SpectralFusion(8).fit(split.train.matrix(), text.values, text.mask)
    fused = model.tower(np.arange(30, dtype=np.int32), np.ones(30, bool)).numpy()
    np.testing.assert_allclose(fused, start.vectors, atol=1e-6)


def test_a_spectral_start_and_another_optimizer(config, tmp_path):
    optimizer = {"class_name": "SGD", "config": {"learning_rate": 0.0, "momentum": 0.5}}
    options = {"optimizer": optimizer, "spectral": {"text_weight": 1.0}, "epochs": 1}
    run = Run.start(tmp_path / "run", config(**options))
    run.train()
    model = run.model()
    assert model.spec.weighted_history  # the options of the start that are left open are chosen
    # A learning rate of 0 leaves the ids where a spectral start puts them: at zero.
    assert not model.tower.ids.table.numpy().any()
    assert model.tower.frozen["initial"].matrix.numpy().any()


SGD = {"class_name": "SGD", "config": {"learning_rate": 0.05, "momentum": 0.9}}


@pytest.mark.slow
def test_a_run_that_is_made_longer_ends_as_one_that_was_as_long(config, tmp_path):
    whole = Run.start(tmp_path / "whole", config(epochs=3, optimizer=SGD))
    whole.train()
    assert whole.extended is None
    short = Run.start(tmp_path / "run", config(epochs=1, optimizer=SGD))
    short.train()
    longer = Run.start(tmp_path / "run", config(epochs=3, optimizer=SGD))
    assert (longer.extended, longer.done, longer.epochs_done) == (1, False, 1)
    history = longer.train()["history"]
    assert history["loss"] == pytest.approx(whole.metrics()["history"]["loss"], abs=1e-5)
    assert Run.open(tmp_path / "run").config.epochs == 3
    expected = _weights(whole)
    for name, values in _weights(longer).items():
        np.testing.assert_allclose(values, expected[name], atol=1e-5, err_msg=name)
    with pytest.raises(InputError, match=r"epochs is 3 there and 2 here; .*or overwrite the run"):
        Run.start(tmp_path / "run", config(epochs=2, optimizer=SGD))


@pytest.mark.slow
def test_a_run_is_overwritten_when_asked(config, tmp_path):
    Run.start(tmp_path / "run", config(epochs=1)).train()
    with pytest.raises(InputError, match="another config: seed is 0 there and 3 here"):
        Run.start(tmp_path / "run", config(epochs=2, seed=3))
    again = Run.start(tmp_path / "run", config(epochs=2, seed=3), overwrite=True)
    assert (again.done, again.epochs_done, again.logs.exists()) == (False, 0, False)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").touch()
    with pytest.raises(InputError, match="is not empty and holds no run"):
        Run.start(tmp_path / "mine", config(), overwrite=True)
    assert (tmp_path / "mine/thesis.txt").is_file()


@pytest.mark.slow
def test_a_run_starts_from_another_s_weights(config, tmp_path):
    first = Run.start(tmp_path / "first", config(epochs=1))
    first.train()
    still = {"class_name": "SGD", "config": {"learning_rate": 0.0}}
    options = {"epochs": 1, "optimizer": still, "seed": 5, "from_run": str(first.folder)}
    values = config(**options).model_dump(exclude={"model"})
    second = Run.start(tmp_path / "second", RunConfig.of(values))
    assert second.config.model == first.config.model
    second.train()
    expected = _weights(first)
    for name, values in _weights(second).items():
        if "draws" not in name:  # what dropout has drawn so far
            np.testing.assert_allclose(values, expected[name], atol=1e-6, err_msg=name)
    with pytest.raises(InputError, match=r"from_run: model\.dim is 8 there and 4 here"):
        Run.start(tmp_path / "third", config(**options, model={"dim": 4}))
    with pytest.raises(InputError, match="a run cannot start from itself"):
        Run.start(first.folder, config(**options))
    # It has its own states now.
    shutil.rmtree(first.folder)
    again = Run.start(second.folder, second.config)
    assert again.done
    total = [run.evaluate().metrics["total"] for run in (again, second)]
    assert total[0] == pytest.approx(total[1])


@pytest.mark.parametrize("by_gradient", [False, True])
def test_a_full_disk_speaks_of_epochs_only_where_there_are_some(
    config, tmp_path, monkeypatch, by_gradient
):
    model = {"model": {"kind": "item_knn"}, "batch_size": None, "epochs": None}
    run = Run.start(tmp_path / "run", config(**({} if by_gradient else model)))

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left") as raised:
        patch.setattr(RunTraining, "fit", full)
        run.train()
    assert ("epoch" in raised.value.strerror) == by_gradient
    assert "free some space and repeat the call" in raised.value.strerror
    assert raised.value.filename == str(run.folder)
    if not by_gradient:
        assert "the model was not kept" in raised.value.strerror
        assert run.train()["evaluation"]
