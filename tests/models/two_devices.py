"""Trains a model on two devices and on one, in a process of its own: what `test_fit.py` starts.

    python two_devices.py

Each device gets a batch, the same, so that weights and losses are those of one device.
"""

import numpy as np
import pandas as pd

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.data import Catalogue, Interactions, sample_folder
from tfrec_fusion.errors import InputError
from tfrec_fusion.examples import ranking_examples
from tfrec_fusion.models import Ranker, TwoTower


def trained(strategy, make, batch):
    """The losses and the variables after three steps of the same batch on each device."""
    with strategy.scope():
        keras.utils.set_random_seed(0)
        model = make()
        model.compile(keras.optimizers.SGD(0.01))
    same = tf.data.Dataset.from_tensors(batch).repeat()
    data = strategy.distribute_datasets_from_function(lambda _: same)
    loss = model.fit(data, steps_per_epoch=3, verbose=0).history["loss"]
    return loss, [v.numpy() for v in model.trainable_variables]


def main() -> None:
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    folder = sample_folder()
    catalogue = Catalogue.from_parquet(folder / "items.parquet")
    frame = pd.read_parquet(folder / "interactions.parquet")
    frame["spend"] = np.where(np.arange(len(frame)) % 3, np.arange(len(frame)) % 5, np.nan)
    events = Interactions.from_frame(frame, catalogue, labels=["spend"])
    events = events.select(np.arange(3000))
    heads = {"taken": "binary", "spend": {"kind": "regression", "delta": 1.0}}
    two, one = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]), tf.distribute.get_strategy()
    plain = {"dim": 4, "id_dropout": 0.0}
    for make, batches in (
        (lambda: TwoTower(events, trend=False, **plain), events.batches(64)),
        (lambda: Ranker(events, dropout=0.0, **plain), ranking_examples(events, 64)),
        (
            lambda: Ranker(events, heads=heads, loss_weighting="uncertainty", **plain),
            ranking_examples(events, 64),
        ),
    ):
        batch = next(iter(batches))
        (loss, values), (expected_loss, expected) = (
            trained(strategy, make, batch) for strategy in (two, one)
        )
        np.testing.assert_allclose(loss, expected_loss, rtol=1e-4)
        for value, other in zip(values, expected, strict=True):
            np.testing.assert_allclose(value, other, rtol=1e-3, atol=1e-5)
    with two.scope():
        model = TwoTower(events, trend=False, **plain)
        model.compile("sgd")
    try:
        model.fit(events.batches(64), verbose=0)
    except InputError as error:
        assert "cannot be split over 2 devices" in str(error)
    else:
        raise AssertionError("flat batches were cut")


if __name__ == "__main__":
    main()
