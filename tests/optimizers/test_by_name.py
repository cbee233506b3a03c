import numpy as np
import pytest

from tfrec_fusion._compat import addons, keras, tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.optimizers import WarmupCosine, resolve


def test_a_name():
    assert type(resolve("adam")) is keras.optimizers.Adam
    assert type(resolve("Adagrad")) is keras.optimizers.Adagrad


def test_a_config_without_arguments():
    assert type(resolve({"class_name": "adam"})) is keras.optimizers.Adam
    assert type(resolve({"class_name": "adam", "config": {}})) is keras.optimizers.Adam


def test_a_config():
    optimizer = resolve({"class_name": "SGD", "config": {"learning_rate": 0.25, "momentum": 0.5}})
    assert type(optimizer) is keras.optimizers.SGD
    assert float(optimizer.learning_rate) == 0.25
    assert optimizer.momentum == 0.5


def test_an_optimizer_is_returned_as_it_is():
    for optimizer in (keras.optimizers.Adam(), keras.optimizers.legacy.SGD()):
        assert resolve(optimizer) is optimizer


def test_a_schedule_in_the_config():
    optimizer = resolve(
        {
            "class_name": "Adam",
            "config": {
                "learning_rate": {
                    "class_name": "tfrec_fusion>WarmupCosine",
                    "config": {"peak": 0.5, "total_steps": 10, "warmup_steps": 5},
                }
            },
        }
    )
    assert isinstance(optimizer.get_config()["learning_rate"]["config"], dict)
    # The first of five warm-up steps: .5 / 5.
    optimizer.build([tf.Variable([1.0])])
    assert float(optimizer.learning_rate) == pytest.approx(0.1)


def test_what_it_serializes_to_resolves_again():
    config = keras.optimizers.serialize(
        keras.optimizers.Adam(WarmupCosine(0.5, total_steps=10, warmup_steps=5)),
        use_legacy_format=True,
    )
    again = resolve(config)
    assert again.get_config() == config["config"]


@pytest.mark.parametrize(
    ("optimizer", "says"),
    [
        ("nope", "optimizer 'nope': Unknown optimizer"),
        ("tfrec_fusion>Nope", "optimizer 'tfrec_fusion>Nope': Unknown optimizer"),
        (3, "give a name, .* Received: 3"),
        ({"config": {}}, "give a name, .* Received: "),
        ({"class_name": "Adam", "learning_rate": 1.0}, r"the only keys are .*\['learning_rate'\]"),
        ({"class_name": "Adam", "config": [1]}, r"must be a mapping. Received: \[1\]"),
        (
            {"class_name": "Adam", "config": {"rate": 1.0}},
            "optimizer 'Adam': .*rate.* Received: {'rate': 1.0}",
        ),
        (
            {
                "class_name": "Adam",
                "config": {
                    "learning_rate": {
                        "class_name": "tfrec_fusion>WarmupCosine",
                        "config": {"peak": -1.0, "total_steps": 10},
                    }
                },
            },
            "peak must be a finite number above 0. Received: -1.0",
        ),
    ],
)
def test_bad_optimizers_get_one_line(optimizer, says):
    with pytest.raises(InputError, match=says) as error:
        resolve(optimizer)
    assert "\n" not in str(error.value)


@pytest.fixture
def _addons():
    pytest.importorskip("typeguard", reason="the extra `addons` is not installed")
    try:
        addons()
    except ImportError as error:
        pytest.skip(str(error))


def _tables():
    rows = keras.Input((1,), dtype=tf.int32)
    vectors = keras.layers.Embedding(50, 4)(rows)
    return keras.Model(rows, keras.layers.Dense(1)(keras.layers.Flatten()(vectors)))


@pytest.mark.usefixtures("_addons")
@pytest.mark.parametrize("name", ["Addons>LazyAdam", "Addons>LAMB"])
@pytest.mark.parametrize("file", ["model.keras", "model.h5", "model"])
def test_addons_by_name_train_save_and_load(name, file, tmp_path):
    keras.utils.set_random_seed(0)
    model = _tables()
    model.compile(resolve({"class_name": name, "config": {"learning_rate": 0.05}}), "mse")
    x = np.arange(8)[:, None] % 4
    y = np.float32(x > 1)
    first, *_, last = model.fit(x, y, epochs=20, batch_size=8, verbose=0).history["loss"]
    assert last < first / 2

    model.save(tmp_path / file)
    again = keras.models.load_model(tmp_path / file)
    np.testing.assert_allclose(again.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-6)
    assert type(again.optimizer) is type(model.optimizer)
    assert again.optimizer.get_config() == model.optimizer.get_config()


@pytest.mark.usefixtures("_addons")
@pytest.mark.parametrize("name", ["Addons>LazyAdam", "Addons>LAMB"])
def test_addons_go_on_from_a_checkpoint(name, tmp_path):
    x = np.arange(8)[:, None] % 4
    y = np.float32(x > 1)
    models = []
    for _ in range(2):
        model = _tables()
        model.compile(resolve(name), "mse")
        model.fit(x, y, batch_size=8, verbose=0)
        models.append(model)
    first, second = models
    path = tf.train.Checkpoint(model=first, optimizer=first.optimizer).save(tmp_path / "at")
    tf.train.Checkpoint(model=second, optimizer=second.optimizer).restore(path).assert_consumed()
    for model in models:
        model.fit(x, y, batch_size=8, epochs=2, verbose=0)
    np.testing.assert_allclose(second.predict(x, verbose=0), first.predict(x, verbose=0), atol=1e-6)


@pytest.mark.usefixtures("_addons")
def test_lazy_adam_leaves_the_rows_of_other_batches():
    model = _tables()
    model.compile(resolve("Addons>LazyAdam"), "mse")
    before = model.layers[1].get_weights()[0]
    for row in (3, 4):
        model.train_on_batch(np.array([[row]]), np.array([[9.0]]))
    moved = np.flatnonzero(np.any(model.layers[1].get_weights()[0] != before, axis=1))
    assert moved.tolist() == [3, 4]
