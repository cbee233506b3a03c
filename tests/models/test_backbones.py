"""What every backbone must do in a ranker with features of all sides."""

import functools

import numpy as np
import pandas as pd
import pytest
from interaction_cases import BACKBONE_OPTIONS

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.data import Catalogue, Interactions, UserTable
from tfrec_fusion.examples import ranking_examples
from tfrec_fusion.features import Category, Features, Number, Side, Tags
from tfrec_fusion.features.context import CONTEXT_FIELDS, TABLE
from tfrec_fusion.models import BACKBONES, BinaryHead, FinalNet, Ranker
from tfrec_fusion.optimizers import adam
from tfrec_fusion.times import DAY

N_USERS, N_ITEMS = 12, 16
FEATURES = Features(
    item=[Category(column="colour"), Tags(column="moods", separator="|"), Number(column="size")],
    user=[Category(column="country")],
    context=[Number(column="hour"), Category(column="channel")],
)
# The others differ by their layers alone.
QUICK = ("auto_int", "bst")
NAMES = [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in BACKBONES]
LISTS = ("item", "label", "item_features", "is_warm")


@pytest.fixture(scope="module")
def events():
    rng = np.random.default_rng(0)
    items = pd.DataFrame(
        {
            "item_id": [f"i{row}" for row in range(N_ITEMS)],
            "price": 1.0 + np.arange(N_ITEMS),
            "colour": ["red", "green", "", "blue"] * (N_ITEMS // 4),
            "moods": ["calm|dark", "dark", "", "calm"] * (N_ITEMS // 4),
            "size": [*np.arange(N_ITEMS - 1.0), None],
        }
    )
    users = pd.DataFrame({"user_id": [f"u{row}" for row in range(N_USERS)]})
    users["country"] = ["de", "fr", None] * (N_USERS // 3)
    rows = pd.DataFrame({"user_id": np.repeat(users["user_id"], 6).to_numpy()})
    rows["item_id"] = [f"i{i}" for _ in range(N_USERS) for i in rng.permutation(N_ITEMS - 2)[:6]]
    rows["timestamp"] = 1.6e9 + DAY * rng.integers(0, 100, len(rows))
    rows["hour"] = rng.integers(0, 24, len(rows))
    rows["channel"] = rng.choice(["web", "shop", ""], len(rows))
    text = rng.normal(size=(N_ITEMS, 5)).astype(np.float32)
    catalogue = Catalogue(items, {"text": text}, numbers=["price"])
    return Interactions.from_frame(rows, catalogue, users=UserTable(users))


@pytest.fixture(scope="module")
def examples(events):
    return functools.partial(
        ranking_examples,
        events,
        negatives=2,
        history=6,
        context_side=Side.fit(TABLE, FEATURES.context, events.context),
    )


@pytest.fixture(scope="module")
def batch(examples):
    return next(iter(examples(16)))


def _options(name):
    own = dict(BACKBONE_OPTIONS[name])
    given = {n: own.pop(n) for n in ("cross_layers", "hidden") if name == "dcn_v2"}
    return {"backbone": name, "backbone_options": own, **given}


def _ranker(events, name, **options):
    keras.utils.set_random_seed(0)
    return Ranker(events, dim=4, feature_dim=3, features=FEATURES, **_options(name), **options)


@pytest.fixture(scope="module")
def models(events):
    """A function from a name to a ranker with noise on all weights, so that each counts."""

    @functools.cache
    def model(name):
        found = _ranker(events, name)
        for variable in found.trainable_variables:
            noise = tf.random.stateless_normal(variable.shape, [1, 2])
            variable.assign_add(0.2 * noise)
        found.compile("adam")
        return found

    return model


@pytest.mark.parametrize("name", NAMES)
def test_any_batch_size_lists_and_single_items(models, batch, name):
    model = models(name)
    graph = tf.function(lambda b: model(b), reduce_retracing=True)
    expected = model(batch).numpy()
    assert expected.shape == (16, 3) and expected.std() > 1e-3
    # A row of a smaller batch is scored as in the larger one: rows do not depend on each other.
    for size in (5, 1, 0):
        part = {name: values[:size] for name, values in batch.items()}
        np.testing.assert_allclose(graph(part), expected[:size], rtol=1e-4, atol=1e-4)
    flat = {name: v[:, 1] if name in LISTS else v for name, v in batch.items()}
    np.testing.assert_allclose(graph(flat), expected[:, 1], rtol=1e-4, atol=1e-4)
    one = {name: v[:, 1:2] if name in LISTS else v for name, v in batch.items()}
    np.testing.assert_allclose(graph(one), expected[:, 1:2], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_padding_of_a_history_is_not_read(models, batch, name):
    model = models(name)
    wide = dict(batch)
    wide["history"] = tf.pad(batch["history"], [[0, 0], [3, 0]], constant_values=-1)
    wide["history_age"] = tf.pad(batch["history_age"], [[0, 0], [3, 0]], constant_values=7.0)
    np.testing.assert_allclose(model(wide), model(batch), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_missing_unknown_or_unseen(models, batch, name):
    model = models(name)
    empty = {"history": tf.fill([16, 6], -1), "history_age": tf.zeros([16, 6])}
    nobody = {"user": tf.fill([16], -1), "item": tf.fill([16, 3], -1)}
    cold = {"is_warm": tf.zeros([16, 3], tf.bool)}
    for given in (empty, nobody, cold, empty | nobody | cold):
        assert np.isfinite(model(dict(batch) | given)).all()

    def logits(hour, channel):
        frame = pd.DataFrame({"hour": [hour] * 16, "channel": [channel] * 16})
        encoded = model.spec.context_side.encode(frame)
        return model(dict(batch) | dict(zip(CONTEXT_FIELDS, encoded, strict=True))).numpy()

    unseen = logits(8.0, "moon")
    np.testing.assert_array_equal(unseen, logits(8.0, "sun"))
    for other in (logits(8.0, "web"), logits(np.nan, "moon")):
        assert np.abs(other - unseen).max() > 1e-5


@pytest.mark.parametrize("name", NAMES)
def test_a_file_gives_the_same_model(models, batch, name, tmp_path):
    model = models(name)
    model.save(tmp_path / "ranker.keras")
    loaded = keras.models.load_model(tmp_path / "ranker.keras")
    np.testing.assert_allclose(loaded(batch), model(batch), atol=1e-5)
    assert loaded.get_config() == model.get_config()
    for option, value in BACKBONE_OPTIONS[name].items():
        assert loaded.backbone.get_config()[option] == value


@pytest.mark.parametrize("name", NAMES)
def test_every_weight_is_trained(models, batch, name):
    model = models(name)
    with tf.GradientTape() as tape:
        loss = model.compute_loss(batch, training=True)
    gradients = tape.gradient(loss, model.trainable_variables)
    unused = [
        variable.name
        for variable, gradient in zip(model.trainable_variables, gradients, strict=True)
        if gradient is None
    ]
    assert np.isfinite(loss) and not unused
    dense = [tf.convert_to_tensor(gradient) for gradient in gradients]
    assert all(np.isfinite(gradient).all() for gradient in dense)


@pytest.mark.parametrize("name", NAMES)
def test_bfloat16_stays_close(events, models, batch, name):
    full, half = models(name), _ranker(events, name, mixed_precision=True)
    half.set_weights(full.get_weights())
    assert half.backbone.compute_dtype == "bfloat16"
    logits = half(batch)
    assert logits.dtype == tf.float32
    np.testing.assert_allclose(logits, full(batch), rtol=0.1, atol=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("name", BACKBONES)
def test_fit_lowers_the_loss(events, examples, name):
    model = _ranker(events, name)
    batches = examples(24)
    model.compile(adam(1e-2, steps=4 * len(batches)))
    history = model.fit(batches, epochs=4, verbose=0).history["loss"]
    assert np.isfinite(history).all() and history[-1] < history[0]


def test_fields_are_those_of_x0(events, batch):
    model = _ranker(events, "mask_net")
    features = model.features
    features.reads = ("x0", "fields", "features", "numbers", "history")
    found = features(batch)
    fields, x0 = found["fields"] | found["features"], found["x0"].numpy()
    assert {name: tuple(one.shape) for name, one in fields.items()} == {
        "item": (16, 3, 4),
        "user": (16, 1, 4),
        "product": (16, 3, 4),
        "context": (16, 1, 4),
        "item.colour": (16, 3, 4),
        "item.moods": (16, 3, 4),
        "item_numbers": (16, 3, 4),
        "user.country": (16, 1, 4),
        "context.channel": (16, 1, 4),
        "context_numbers": (16, 1, 4),
    }
    for place, name in enumerate(("item", "user", "product", "context")):
        expected = np.broadcast_to(fields[name], (16, 3, 4))
        np.testing.assert_array_equal(x0[..., 4 * place : 4 * place + 4], expected)
    np.testing.assert_array_equal(x0[..., 16:], found["numbers"])
    # Items 2, 6, ... have neither a colour nor a mood.
    missing = batch["item"].numpy() % 4 == 2
    assert missing.any() and not missing.all()
    for name in ("item.colour", "item.moods"):
        np.testing.assert_array_equal((fields[name].numpy() == 0).all(-1), missing)
    # The vectors of the history are the fused ones of its items.
    items = batch["history"].numpy()
    past, place = found["history"], np.argwhere(items >= 0)[0]
    user, item = place[0], items[tuple(place)]
    alone = dict(batch) | {"item": tf.fill([16, 3], int(item)), "is_warm": tf.ones([16, 3]) > 0}
    expected = features(alone)["fields"]["item"][user, 0]
    np.testing.assert_allclose(past["vectors"][user, place[1]], expected, atol=1e-6)
    np.testing.assert_array_equal(past["present"], items >= 0)
    assert (past["vectors"].numpy()[items < 0] == 0).all()


def test_the_field_of_a_category_by_hand(events, batch):
    model = _ranker(events, "mask_net")
    side, maps = model.tower.features, model.features.field_maps["item"]
    colour = model.spec.item_side.features[0]
    frame = pd.DataFrame({"colour": ["red"], "moods": [""], "size": [1.0]})
    row = model.spec.item_side.encode(frame)[0][0, 0]
    assert colour.name == "colour"
    expected = side.table.numpy()[row] @ maps.maps[0].kernel.numpy()
    found = model.features(batch)["features"]["item.colour"].numpy()
    red = batch["item"].numpy() % 4 == 0
    np.testing.assert_allclose(found[red], np.tile(expected, (red.sum(), 1)), atol=1e-6)


def test_the_distillation_of_final_net_by_hand():
    backbone, head = FinalNet(2, [2], batch_norm=False), BinaryHead()
    # The branches have the outputs (2, 0) and (0, 6): the representation halves them.
    representation = tf.constant([[[1.0, 0.0, 0.0, 3.0]]])
    head(representation)
    head.linear.set_weights([np.array([[1.0], [1.0], [1.0], [-0.5]]), np.array([0.5])])
    # Their logits are 2 + .5 and -3 + .5, and the mean's is 1 - 1.5 + .5 = 0, of probability .5:
    # each cross entropy is .5 * (log(1 + e^-2.5) + log(1 + e^2.5)).
    each = 0.5 * (np.log1p(np.exp(-2.5)) + np.log1p(np.exp(2.5)))
    with tf.GradientTape() as tape:
        losses = backbone.head_losses(representation, head)
    np.testing.assert_allclose(losses, [each, each], rtol=1e-6)
    assert tape.gradient(losses, head.trainable_variables)[0] is not None
    assert FinalNet(1, [2]).head_losses(representation, head) == []
    assert FinalNet(2, [2], distillation=0.0).head_losses(representation, head) == []


@pytest.mark.slow
def test_the_distillation_is_part_of_the_loss(events, batch):
    model = _ranker(events, "final_net", context_dropout=0.0, id_dropout=0.0, id_l2=0.0)
    model.compile("sgd")
    without = model.compute_loss(batch)
    model.backbone.options["distillation"] = 0.0
    plain = model.compute_loss(batch, training=True)
    model.backbone.options["distillation"] = 2.0
    both = model.compute_loss(batch, training=True)
    model.backbone.options["distillation"] = 1.0
    once = model.compute_loss(batch, training=True)
    assert both - once > 0.1
    np.testing.assert_allclose(both - once, once - plain, rtol=1e-3)
    assert np.isfinite(without)
