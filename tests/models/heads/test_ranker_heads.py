"""A ranker of several labels: what it learns from, ranks by, saves and refuses."""

import numpy as np
import pandas as pd
import pytest

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.examples import ranking_examples
from tfrec_fusion.features import State
from tfrec_fusion.models import Backbone, BinaryHead, Head, Ranker, RegressionHead
from tfrec_fusion.times import DAY

N_USERS, N_ITEMS = 20, 12
HEADS = {
    "click": "binary",
    "buy": {"kind": "binary", "given": "click"},
    "spend": {"kind": "regression", "weight": 0.5},
}
KINDS = {
    "click": "binary",
    "spend": "zero_inflated_log_normal",
    "stars": {"kind": "ordinal", "classes": 5, "lowest": 1, "hidden": [3]},
    "device": {"kind": "multi_class", "classes": 3},
}
BOTH = {"buy": "binary", "spend": "zero_inflated_log_normal"}
SMALL = {"dim": 4, "hidden": [6], "id_l2": 0.0, "id_dropout": 0.0}


def _events():
    """Impressions; only what is clicked may be bought, and what is spent is known for some."""
    rng = np.random.default_rng(0)
    n = 240
    frame = pd.DataFrame(
        {
            "user_id": [f"u{u}" for u in rng.integers(0, N_USERS, n)],
            "item_id": [f"i{i}" for i in rng.integers(0, N_ITEMS, n)],
            "timestamp": 1.6e9 + DAY * rng.integers(0, 50, n),
            "label": rng.integers(0, 2, n).astype(float),
            "stars": rng.integers(1, 6, n),
            "device": rng.integers(0, 3, n),
        }
    )
    frame["buy"] = np.where(frame["label"] > 0, rng.integers(0, 2, n), np.nan)
    frame["spend"] = np.where(frame["buy"] > 0, 1 + rng.random(n), 0.0)
    frame.loc[::3, "spend"] = np.nan
    items = pd.DataFrame({"item_id": [f"i{i}" for i in range(N_ITEMS)]})
    return Interactions.from_frame(
        frame, Catalogue(items), labels=["buy", "spend", "stars", "device"]
    )


@pytest.fixture(scope="module")
def events():
    return _events()


@pytest.fixture(scope="module")
def batch(events):
    """A batch `[16, 3]`, of which the last two items of a row are sampled."""
    return next(iter(ranking_examples(events, 16, negatives=2, history=4)))


def _model(events, heads=HEADS, **options):
    keras.utils.set_random_seed(0)
    model = Ranker(events, heads=heads, **(SMALL | options))
    for place, variable in enumerate(model.trainable_variables):
        variable.assign_add(0.2 * tf.random.stateless_normal(variable.shape, [1, place]))
    return model


def _entropy(logits, labels):
    return np.logaddexp(0, np.where(labels > 0, -logits, logits))


def _labels(batch):
    """Labels of click, buy and spend as the heads learn them."""
    click, sampled = batch["label"].numpy(), batch["is_sampled"].numpy()
    buy = np.where(click > 0, batch["label/buy"], 0.0)
    return click, buy, np.where(sampled, np.nan, batch["label/spend"])


def test_the_sum_of_the_losses_by_hand(events, batch):
    model = _model(events)
    model.compile("sgd")
    outputs = {name: o.numpy() for name, o in model(batch, by_head=True).items()}
    click, buy, spend = _labels(batch)
    known = ~np.isnan(spend)
    assert 0 < known.sum() < 16 and np.isnan(batch["label/buy"][:, 0]).any()
    expected = {
        "click": _entropy(outputs["click"], click).mean(),
        "buy": _entropy(outputs["buy"], buy).mean(),
        "spend": ((outputs["spend"] - spend)[known] ** 2).mean(),
    }
    found = model.test_step(batch)
    for name, loss in expected.items():
        assert float(found[f"{name}_loss"]) == pytest.approx(loss, rel=1e-4)
    total = expected["click"] + expected["buy"] + 0.5 * expected["spend"]
    assert float(found["loss"]) == pytest.approx(total, rel=1e-4)
    mae = np.abs(outputs["spend"] - spend)[known].mean()
    assert float(found["spend_mae"]) == pytest.approx(mae, rel=1e-4)
    assert set(found) == {
        *(f"{n}_loss" for n in HEADS),
        "loss",
        "click_auc",
        "buy_auc",
        "spend_mae",
    }


def test_weights_of_rows_by_hand(events, batch):
    model = _model(events, {"click": "binary", "spend": "regression"})
    model.compile("sgd")
    weight = np.arange(16, dtype=np.float32)
    loss = model.compute_loss(dict(batch) | {"weight": tf.constant(weight)})
    outputs = {name: o.numpy() for name, o in model(batch, by_head=True).items()}
    click, _, spend = _labels(batch)
    squared = weight[:, None] * (outputs["spend"] - spend) ** 2
    expected = (weight[:, None] * _entropy(outputs["click"], click)).mean() + np.nanmean(squared)
    assert float(loss) == pytest.approx(expected, rel=1e-4)


def test_rows_without_a_label_change_nothing(events, batch):
    """Neither the loss of the head nor a gradient of it depends on what they hold."""
    model = _model(events, {"click": "binary", "spend": "regression"})
    model.compile("sgd", loss_weights={"click": 0.0})
    labels = batch["label/spend"].numpy()
    known = ~np.isnan(labels[:, 0])

    def gradients(given):
        with tf.GradientTape() as tape:
            loss = model.compute_loss(given)
        variables = [*model.backbone.trainable_variables, *model.heads["spend"].trainable_weights]
        return loss, tape.gradient(loss, variables)

    loss, found = gradients(batch)
    lists = {name: tf.boolean_mask(values, known) for name, values in batch.items()}
    alone, expected = gradients(lists)
    assert float(loss) == pytest.approx(float(alone), rel=1e-5)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    nothing = dict(batch) | {"label/spend": tf.fill([16, 3], np.float32(np.nan))}
    loss, found = gradients(nothing)
    assert float(loss) == 0.0 and not any(np.any(one) for one in found)


def test_a_batch_without_any_label_has_a_loss_of_zero(events, batch):
    heads = {name: {"kind": kind, "negatives": "missing"} for name, kind in BOTH.items()}
    model = _model(events, heads)
    model.compile("sgd")
    nothing = {f"label/{name}": tf.fill([16, 3], np.float32(np.nan)) for name in heads}
    found = model.test_step(dict(batch) | nothing)
    assert {float(found[name]) for name in ("loss", "buy_loss", "spend_loss")} == {0.0}


def test_a_purchase_is_learned_from_the_product_over_all_impressions(events, batch):
    model = _model(events, {name: HEADS[name] for name in ("click", "buy")})
    model.compile("sgd", loss_weights={"click": 0.0})
    representation = model.backbone(model.features(batch))
    logits = [model.heads[name](representation).numpy() for name in ("click", "buy")]
    both = np.prod([1 / (1 + np.exp(-one)) for one in logits], 0, dtype=np.float64)
    _, buy, _ = _labels(batch)
    loss = -(buy * np.log(both) + (1 - buy) * np.log1p(-both)).mean()
    assert float(model.compute_loss(batch)) == pytest.approx(loss, rel=1e-5)
    answers = model.heads.answers(model(batch, by_head=True))
    np.testing.assert_allclose(answers["buy"], both, rtol=1e-5)
    with tf.GradientTape() as tape:
        loss = model.compute_loss(batch, training=True)
    # The click is learned through the product, though its own loss has weight 0.
    assert tape.gradient(loss, model.heads["click"].linear.kernel).numpy().any()


def test_uncertainty_weighting_by_hand(events, batch):
    heads = {"click": "binary", "spend": {"kind": "regression", "weight": 0.5}}
    model = _model(events, heads, loss_weighting="uncertainty")
    model.log_variances.assign([0.4, -0.6])
    model.compile("sgd")
    with tf.GradientTape() as tape:
        total = model.compute_loss(batch)
    click, spend = (float(model.test_step(batch)[f"{name}_loss"]) for name in heads)
    # Half a squared error is a negative log-likelihood.
    expected = np.exp(-0.4) * click + 0.2 + 0.5 * (0.5 * np.exp(0.6) * spend - 0.3)
    assert float(total) == pytest.approx(expected, rel=1e-4)
    slopes = [0.5 - np.exp(-0.4) * click, 0.5 * (0.5 - 0.5 * np.exp(0.6) * spend)]
    np.testing.assert_allclose(tape.gradient(total, model.log_variances), slopes, rtol=1e-4)
    nothing = dict(batch) | {"label/spend": tf.fill([16, 3], np.float32(np.nan))}
    with tf.GradientTape() as tape:
        total = model.compute_loss(nothing)
    assert tape.gradient(total, model.log_variances)[1] == 0


def test_what_ranks(events, batch):
    outputs = _model(events)(batch, by_head=True)
    first = _model(events)
    np.testing.assert_array_equal(first(batch), outputs["click"])
    by_spend = _model(events, rank_by="spend")
    np.testing.assert_array_equal(by_spend(batch), outputs["spend"])
    # Only the logit of the events' own label has a probability for an evaluation.
    assert first.score_is_logit
    assert not by_spend.score_is_logit and not _model(events, rank_by="buy").score_is_logit
    both = _model(events, rank_by={"click": 2, "spend": -0.5})
    expected = 2 * tf.sigmoid(outputs["click"]) - 0.5 * outputs["spend"]
    np.testing.assert_allclose(both(batch), expected, rtol=1e-5, atol=1e-6)
    assert not both.score_is_logit
    scores = both.scorer(State.of(events))(np.arange(3, dtype=np.int32))
    assert scores.shape == (3, N_ITEMS)


def test_a_head_of_its_own_label_alone(events, batch):
    """Of one head metrics have no prefix, and rows without a label are left out too."""
    model = _model(events, {"stars": {"kind": "regression", "negatives": "missing"}})
    model.compile("sgd")
    found = model.test_step(batch)
    own = model(batch)[:, 0] - batch["label/stars"][:, 0]
    assert set(found) == {"loss", "mae"}
    assert float(found["loss"]) == pytest.approx(float(tf.reduce_mean(own**2)), rel=1e-4)


@pytest.mark.parametrize(
    "compiled", [{}, {"loss": {"spend": "huber"}, "metrics": {"buy": ["mse"]}}]
)
def test_a_saved_model_scores_and_learns_as_before(events, batch, compiled, tmp_path):
    model = _model(events, rank_by={"click": 1.0, "spend": 0.1}, loss_weighting="uncertainty")
    model.compile("sgd", **compiled)
    figures = model.evaluate(tf.data.Dataset.from_tensors(batch), return_dict=True, verbose=0)
    model.save(tmp_path / "ranker.keras")
    loaded = keras.models.load_model(tmp_path / "ranker.keras")
    assert loaded.get_config() == model.get_config()
    assert loaded.config.heads["spend"]["label"] == "spend"
    np.testing.assert_allclose(loaded(batch), model(batch), rtol=1e-5)
    again = loaded.evaluate(tf.data.Dataset.from_tensors(batch), return_dict=True, verbose=0)
    assert again.keys() == figures.keys()
    assert again == pytest.approx(figures, rel=1e-4)


def test_a_head_has_a_loss_of_its_own_and_compile_another(events, batch):
    heads = {"click": "binary", "spend": {"kind": "regression", "loss": "mae"}}
    model = _model(events, heads)
    _, _, spend = _labels(batch)
    error = np.abs(model(batch, by_head=True)["spend"] - spend)
    model.compile("sgd", loss={"click": None})
    found = model.test_step(batch)
    assert float(found["spend_loss"]) == pytest.approx(np.nanmean(error), rel=1e-4)
    assert "click_auc" in found and "spend_mae" not in found
    model.compile("sgd", loss={"spend": keras.losses.MeanSquaredError(reduction="none")})
    found = model.test_step(batch)
    assert float(found["spend_loss"]) == pytest.approx(np.nanmean(error**2), rel=1e-4)


@pytest.mark.slow
def test_heads_learn_their_labels():
    """What is spent depends on the item alone, and what is bought on the user alone."""
    rng = np.random.default_rng(0)
    n = 3000
    user, item = rng.integers(0, 40, n), rng.integers(0, 20, n)
    frame = pd.DataFrame(
        {
            "user_id": [f"u{one}" for one in user],
            "item_id": [f"i{one}" for one in item],
            "timestamp": 1.6e9 + DAY * rng.integers(0, 50, n),
            "label": 1.0,
            "buy": (user % 2).astype(float),
            "spend": np.where(item % 3, 1.0, 9.0),
        }
    )
    items = Catalogue(pd.DataFrame({"item_id": [f"i{one}" for one in range(20)]}))
    events = Interactions.from_frame(frame, items, labels=["buy", "spend"])
    keras.utils.set_random_seed(0)
    heads = {"buy": "binary", "spend": "regression"}
    options = {"backbone": "mmoe", "backbone_options": {"hidden": [16]}, "user": "both"}
    model = Ranker(events, dim=8, heads=heads, loss_weighting="uncertainty", **options)
    # Cuts shortly before the events, so that the items are warm.
    batches = ranking_examples(events, 64, negatives=0, history=8, horizon_days=2, every_days=1)
    model.compile(keras.optimizers.Adam(1e-2))
    model.fit(batches, epochs=5, verbose=0)
    figures = model.evaluate(batches, return_dict=True, verbose=0)
    # The mean, 3.7, would be wrong by 3.6 on average, and chance has an AUC of .5.
    assert figures["spend_mae"] < 1.0
    assert figures["buy_auc"] > 0.8


@pytest.mark.slow
def test_every_kind_trains(events):
    batches = ranking_examples(events, 32, negatives=1, history=4)
    model = _model(events, KINDS)
    model.compile("adam", loss={"click": "bpr"})
    history = model.fit(batches, epochs=1, verbose=0).history
    assert {"stars_mae", "device_accuracy", "spend_mae"} <= set(history)
    assert "click_auc" not in history
    assert np.isfinite([values[0] for values in history.values()]).all()
    outputs = model(next(iter(batches)), by_head=True)
    assert outputs["device"].shape[1:] == (2, 3) and outputs["stars"].shape[1:] == (2, 4)
    flat = next(iter(ranking_examples(events, 32, negatives=0, history=4)))
    assert model(flat, by_head=True)["device"].shape == (32, 3)


class Squared(Head):
    """Predicts the square of its output."""

    def default_loss(self):
        return keras.losses.MeanSquaredError()

    def prediction(self, outputs):
        return outputs**2


@pytest.mark.parametrize("kind", [Squared, Squared("spend", name="mine"), f"{__name__}:Squared"])
def test_a_head_of_your_own(events, batch, kind, tmp_path):
    model = _model(events, {"click": BinaryHead(), "spend": kind}, rank_by="spend")
    outputs = model(batch, by_head=True)
    np.testing.assert_allclose(model(batch), outputs["spend"] ** 2)
    config = model.get_config()
    twin = Ranker.from_config(config)
    assert twin.get_config() == config
    assert isinstance(twin.heads["spend"], Squared) and twin.heads["spend"].label == "spend"


class Apart(Backbone):
    """Gives each head x_0 times a number of its own."""

    splits_tasks = True

    def __init__(self, tasks=None, **kwargs):
        super().__init__(**kwargs)
        self.tasks = tasks

    def call(self, x0, training=None):
        if self.tasks is None:
            return x0
        return tf.stack([x0 * (1 + task) for task in range(self.tasks)], -2)

    def get_config(self):
        return super().get_config() | {"tasks": self.tasks}


@pytest.mark.parametrize("backbone", [Apart, Apart()])
def test_a_backbone_with_a_representation_for_each_head(events, batch, backbone):
    options = {"backbone": backbone, "dim": 4}
    keras.utils.set_random_seed(0)
    model = Ranker(events, heads={"click": "binary", "spend": "regression"}, **options)
    x0 = model.features(batch)
    outputs = model(batch, by_head=True)
    for place, (name, head) in enumerate(model.heads.items()):
        np.testing.assert_allclose(outputs[name], head((1 + place) * x0), rtol=1e-5, atol=1e-6)
    assert Ranker(events, **options)(batch).shape == (16, 3)
    assert Ranker.from_config(model.get_config()).backbone.tasks == 2


@pytest.mark.parametrize("name", ["mmoe", "ple"])
def test_each_head_has_a_gate(events, batch, name):
    options = {"backbone": name, "backbone_options": {"hidden": [5]}, "dim": 4}
    model = Ranker(events, heads=HEADS, **options)
    assert model.backbone.tasks == 3
    model.compile("sgd", loss_weights={"click": 0, "buy": 0})
    gates = model.backbone.mixture.gates if name == "mmoe" else model.backbone.extraction[-1].gates
    with tf.GradientTape() as tape:
        loss = model.compute_loss(batch, training=True)
    slopes = tape.gradient(loss, [gate.kernel for gate in gates])
    assert [bool(np.any(one)) for one in slopes] == [False, False, True]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"heads": {}}, "Ranker: heads: at least one head is needed"),
        ({"heads": "binary"}, "Ranker: heads: must be a dict .*Received: 'binary'"),
        (
            {"heads": {"a b": "binary"}},
            "Ranker: heads: a head's name must be letters",
        ),
        ({"heads": {"score": "binary"}}, "Ranker: heads: exports have 'score' already"),
        ({"heads": {"click": "logistic"}}, "Ranker: heads: 'click': must be one of binary"),
        ({"heads": {"click": {"weight": 2}}}, "Ranker: heads: 'click': must have a key 'kind'"),
        (
            {"heads": {"click": {"kind": "binary", "classes": 2}}},
            "Ranker: heads: 'click': head 'binary' takes label, weight",
        ),
        (
            {"heads": {"click": {"kind": "binary", "weight": -1}}},
            "Ranker: heads: 'click': .*weight must be",
        ),
        (
            {"heads": {"buy": {"kind": "binary", "given": "click"}, "click": "binary"}},
            "Ranker: heads: 'buy': given must name a binary head before it",
        ),
        (
            {"heads": {"spend": "regression", "buy": {"kind": "binary", "given": "spend"}}},
            "Ranker: heads: 'buy': given must name a binary head before it",
        ),
        ({"rank_by": "click"}, "Ranker: rank_by: chooses among heads"),
        (
            {"heads": HEADS, "rank_by": "cart"},
            "Ranker: rank_by: must be a head, .*click, buy, spend. Received: 'cart'",
        ),
        ({"heads": HEADS, "rank_by": {}}, "Ranker: rank_by: must be a head"),
        ({"heads": HEADS, "rank_by": ["buy"]}, r"rank_by: must be a head.* Received: \['buy'\]"),
        ({"heads": HEADS, "rank_by": {"buy": "2"}}, "Ranker: rank_by: weights must be finite"),
        ({"heads": HEADS, "rank_by": {"click": 0}}, "Ranker: rank_by: weights must be"),
        ({"heads": HEADS, "loss": "bce"}, "Ranker: loss: is for one head"),
        ({"loss_weighting": "uncertainty"}, "Ranker: loss_weighting: weighs the losses of several"),
        (
            {"heads": {"click": {"kind": "binary", "label": "label"}, "cart": "binary"}},
            r"Ranker: heads: 'cart': the events have no label 'cart'; .*labels=\['cart'\]",
        ),
        (
            {"heads": {"cart": "binary", "click": "binary"}},
            r"Ranker: heads: 'cart': the events have no label 'cart'; .*labels=\['cart'\]",
        ),
        ({"heads": {"stars": "binary"}}, "'stars': label 'stars' must hold 0 and 1. Received: "),
        (
            {"heads": {"stars": {"kind": "ordinal", "classes": 4, "lowest": 1}}},
            "'stars': label 'stars' must hold whole numbers from 1 to 4. Received: 5",
        ),
    ],
)
def test_a_mistake_is_named(events, options, says):
    with pytest.raises(InputError, match=says):
        Ranker(events, **(SMALL | options))


def test_the_weight_of_an_only_head(events, batch):
    found = {}
    for weight in (1.0, 0.5):
        model = _model(events, {"buy": {"kind": "binary", "weight": weight}})
        model.compile("sgd")
        found[weight] = float(model.compute_loss(batch))
        model.compile("sgd", loss_weights={"buy": 2})
        assert float(model.compute_loss(batch)) == pytest.approx(2 * found[1.0], rel=1e-5)
    assert found[0.5] == pytest.approx(found[1.0] / 2, rel=1e-5)
    for options in ({"loss_weights": {"buy": 0}}, {"loss_weights": 0.0}):
        with pytest.raises(InputError, match=r"a head of buy needs a weight above 0.*'buy': 0"):
            model.compile("sgd", **options)
    with pytest.raises(InputError, match=r"a head of buy needs a weight above 0.*'buy': 0"):
        _model(events, {"buy": {"kind": "binary", "weight": 0}}).compile("sgd")


def test_labels_that_contradict_what_they_need_are_refused():
    """A label above 0 where the one that it needs is 0; what is missing contradicts nothing."""
    frame = pd.DataFrame(
        {
            "user_id": ["u", "u", "v", "v"],
            "item_id": ["a", "b", "a", "b"],
            "label": [1.0, 0, 0, 1],
            "buy": [1.0, np.nan, 0, np.nan],
            "back": [1.0, 0, np.nan, 1],
        }
    )
    items = Catalogue(pd.DataFrame({"item_id": ["a", "b"]}))
    heads = {
        "click": {"kind": "binary", "label": "label"},
        "buy": {"kind": "binary", "given": "click"},
        "back": {"kind": "binary", "given": "buy"},
    }

    def ranker(**columns):
        events = Interactions.from_frame(frame.assign(**columns), items, labels=["buy", "back"])
        return Ranker(events, **SMALL, heads=heads)

    ranker()
    with pytest.raises(
        InputError,
        match=r"heads: 'buy': label 'buy' is above 0 in 2 of 4 events where that of the head "
        r"'click', .*Received: an event of user 'u' and item 'b'",
    ):
        ranker(buy=[1.0, 1, 1, np.nan])
    # Where there was no click there is no purchase, also if it is missing, so nothing comes back.
    with pytest.raises(InputError, match=r"'back': .*in 1 of 4 .*'buy', .*user 'u' and item 'b'"):
        ranker(back=[1.0, 1, 0, 0])


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"loss": "mse"}, "loss: with several heads it must be a dict from some of click, buy"),
        ({"loss": {"cart": "mse"}}, "loss: must be of the heads click, .*Received: 'cart'"),
        ({"loss": {"buy": "none"}}, "loss: 'buy': must be one of softmax"),
        ({"metrics": ["mae"]}, "metrics: with several heads it must be a dict"),
        ({"loss_weights": {"click": 0, "buy": 0, "spend": 0}}, "needs a weight above 0"),
    ],
)
def test_a_mistake_of_compile_is_named(events, options, says):
    with pytest.raises(InputError, match=says):
        _model(events).compile("sgd", **options)


def test_a_head_has_no_name_of_a_feature_in_requests(events):
    frame = events._columns.assign(channel="web")
    events = events._with(frame)
    features = {"context": [{"kind": "category", "column": "channel"}]}
    with pytest.raises(InputError, match="requests of an export give a feature as 'channel'"):
        Ranker(events, heads={"channel": "binary"}, features=features, **SMALL)


def test_batches_without_a_label_are_refused(events, batch):
    model = _model(events)
    model.compile("sgd")
    fields = {name: values for name, values in batch.items() if name != "label/spend"}
    with pytest.raises(
        InputError, match=r"no 'label/spend'; read the events with labels=\['spend'"
    ):
        model.compute_loss(fields)


def test_a_label_that_is_missing_everywhere(events):
    nothing = events._with(events._columns.assign(_label_spend=np.nan))
    with pytest.raises(InputError, match="'spend': label 'spend' is missing in all events"):
        Ranker(nothing, heads={"spend": RegressionHead()}, **SMALL)
