"""Numbers of the items: found by name, fitted once, and chosen."""

import logging

import numpy as np
import pandas as pd
import pytest

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.data import Catalogue, Interactions, Split
from tfrec_fusion.errors import InputError
from tfrec_fusion.evaluation import evaluate_ranker
from tfrec_fusion.examples import ranking_examples
from tfrec_fusion.export import export
from tfrec_fusion.features import Features, Number, State
from tfrec_fusion.models import Ranker, TwoTower
from tfrec_fusion.times import DAY

N_ITEMS = 8
# Signed logs of the first two are 1 and 3: mean 2, deviation 1. The others are sold later.
PRICE = np.expm1([1.0, 3.0, 4.0, 0.0, 2.0, 5.0, np.nan, 1.0])
FITTED = [-1, 1, 2, -2, 0, 3, 0, -1]
YEAR = np.array([1990, 2020, 1995, 2005, 2000, 1980, 2010, 2015])


def _catalogue(columns=("price", "year"), **replaced):
    frame = pd.DataFrame({"item_id": list("abcdefgh")})
    for name in columns:
        frame[name] = replaced.get(name, {"price": PRICE, "year": YEAR}.get(name))
    text = np.random.default_rng(0).normal(size=(N_ITEMS, 4)).astype(np.float32)
    return Catalogue(frame, {"text": text})


def _events(items="ab", catalogue=None, times=True):
    """Users u0 to u3 take `items`, the first half of them on day 0 and the rest on day 20."""
    rows = [
        (f"u{user}", item, 20 * DAY * (place >= len(items) / 2))
        for user in range(4)
        for place, item in enumerate(items)
    ]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])
    frame["timestamp"] += 1.6e9
    if not times:
        frame = frame.drop(columns="timestamp")
    return Interactions.from_frame(frame, catalogue or _catalogue())


def _noisy(model):
    rng = np.random.default_rng(1)
    for weight in model.trainable_weights:
        weight.assign_add(rng.normal(scale=0.3, size=weight.shape).astype(np.float32))
    return model


MODELS = {
    "two_tower": lambda events: TwoTower(events, dim=4, trend_dim=2, whitening_dim=None),
    "ranker": lambda events: Ranker(events, dim=4, hidden=[4], cross_layers=1, whitening_dim=None),
}
EVERYONE = np.array([-1, 0, 1, 2, 3])


@pytest.fixture(params=MODELS)
def make(request):
    return MODELS[request.param]


def test_swapped_columns_give_the_same_scores(make):
    model = _noisy(make(_events()))
    swapped = _catalogue(("year", "price"))
    expected = model.scorer(State.of(_events()))(EVERYONE)
    np.testing.assert_array_equal(
        model.scorer(State.of(_events(catalogue=swapped)))(EVERYONE), expected
    )
    assert expected.std() > 0


def test_a_further_column_is_not_read(make):
    model = _noisy(make(_events()))
    wider = _catalogue(("rating", "year", "price"), rating=np.arange(8.0))
    expected = model.scorer(State.of(_events()))(EVERYONE)
    np.testing.assert_array_equal(
        model.scorer(State.of(_events(catalogue=wider)))(EVERYONE), expected
    )


@pytest.mark.parametrize(
    ("catalogue", "says"),
    [
        (
            _catalogue(("year",)),
            r"1 of the model's 2 numeric columns are missing: price; .* Received",
        ),
        (_catalogue(price=[f"{p} EUR" for p in PRICE]), "'price' is not numeric"),
        (_catalogue(price=PRICE > 9), "'price' was a number in training; .* Received: bool"),
    ],
)
def test_columns_that_do_not_fit_are_named(make, catalogue, says, tmp_path):
    model, other = make(_events()), _events(catalogue=catalogue)
    scorer = lambda e: model.scorer(State.of(e))  # noqa: E731
    for use in (model.check, scorer, lambda e: export(model, e, tmp_path / "m", deployment=False)):
        with pytest.raises(InputError, match=says):
            use(other)


def test_examples_of_swapped_columns_are_equal():
    swapped = _events("abcd", _catalogue(("year", "price")))
    for make in (lambda e: e.batches(4), lambda e: ranking_examples(e, 4)):
        pairs = zip(make(_events("abcd")), make(swapped), strict=True)
        for mine, theirs in pairs:
            np.testing.assert_array_equal(mine["item_features"], theirs["item_features"])


def test_batches_of_another_width_are_refused_in_training(make):
    model, other = make(_events("abcd")), _events("abcd", _catalogue(("price",)))
    model.compile("sgd")
    ranks = isinstance(model, Ranker)
    batches = ranking_examples(other, 4) if ranks else other.batches(4)
    says = r"reads 14 columns, .* and the batch has 13"
    with pytest.raises(InputError, match=says):
        model.compute_loss(next(iter(batches)), training=True)
    with pytest.raises(Exception, match=says):
        model.fit(batches, verbose=0)
    wider = _events("abcd", _catalogue(("price", "rating", "year"), rating=np.arange(8.0)))
    numbers = {"numbers": model.spec.numbers}
    batches = ranking_examples(wider, 4, **numbers) if ranks else wider.batches(4, **numbers)
    model = make(_events("abcd"))
    model.compile("sgd")
    model.fit(batches, verbose=0)


def test_a_ranker_is_evaluated_by_name():
    model = _noisy(Ranker(_events("abcd"), dim=4, hidden=[4], cross_layers=1))

    def report(*columns):
        events = _events("abcdef", _catalogue(columns, rating=np.arange(8.0)))
        old = events.timestamp < events.timestamp.max()
        cut = float(events.timestamp.max())
        split = Split(events.select(old), events.select(~old), "temporal", cut)
        return evaluate_ranker(model, split, negatives=1)

    same = report("price", "year").metrics
    np.testing.assert_equal(same, report("year", "rating", "price").metrics)
    with pytest.raises(InputError, match="price"):
        report("year", "rating")


def _reading_prices(events):
    """A two-tower whose items' last column is the price that the model sees."""
    model = TwoTower(events, dim=4, trend_dim=2, use_ids=False)
    kernel = np.zeros(model.trend.prior.kernel.shape, np.float32)
    kernel[model.spec.feature_names.index("price")] = 1
    model.trend.prior.kernel.assign(kernel)
    return model


def test_a_price_is_the_same_number_in_training_scoring_and_the_export(tmp_path):
    model, more = _reading_prices(_events("ab")), _events("abcdefgh")
    for events in (_events("ab"), more):
        prices = model.scorer(State.of(events)).item_vectors[:, -1]
        np.testing.assert_allclose(prices, FITTED, atol=1e-5)
    version = export(model, more, tmp_path / "shop", deployment=False)
    served = tf.saved_model.load(str(version)).signatures["item_vector"]
    vectors = served(item_id=tf.constant([*"abcdefgh", "unknown"]))["vector"]
    np.testing.assert_allclose(vectors[:, -1], [*FITTED, 0], atol=1e-5)
    batch = next(iter(_events("ab").batches(8)))
    items = model.item_vectors(tf.range(N_ITEMS), batch["item_features"], batch["is_warm"])
    np.testing.assert_allclose(items[:, -1], FITTED, atol=1e-5)


def test_the_context_hidden_from_an_explanation_is_the_average_price():
    model = _reading_prices(_events("ab"))
    from tfrec_fusion.models import HiddenInputs

    rows, seen = tf.range(2), tf.ones([2], tf.bool)
    batch = next(iter(_events("ab").batches(8)))
    fused = tf.zeros([2, 4])
    items = HiddenInputs(model).item_vectors(
        fused, rows, batch["item_features"][:2], seen, hidden=["context"]
    )
    # Without its price, recency and trend an item has what the biases of the network give.
    nothing = tf.zeros([1, len(model.spec.feature_names)])
    hidden = tf.concat([nothing, model.trend.hidden(nothing)], 1)
    np.testing.assert_allclose(items[:, -1], [model.trend.prior(hidden)[0, 0]] * 2, atol=1e-6)


@pytest.mark.parametrize("precision", ["float32", pytest.param("int8", marks=pytest.mark.slow)])
def test_a_rankers_price_without_times(tmp_path, precision):
    events = _events("abc", times=False)
    model = _noisy(Ranker(events, dim=4, hidden=[4], cross_layers=1, use_ids=False))
    more = _events("abcdefgh", times=False)
    nobody = model.scorer(State.of(events))(np.array([-1]))
    np.testing.assert_allclose(model.scorer(State.of(more))(np.array([-1])), nobody, rtol=1e-6)
    options = {} if precision == "float32" else {"precision": precision}
    version = export(model, more, tmp_path / "shop", deployment=False, **options)
    served = tf.saved_model.load(str(version)).signatures["serving_default"]
    asked = {"user_id": tf.constant(["nobody"]), "item_id": tf.constant([list("abcdefgh")])}
    tolerance = 1e-5 if precision == "float32" else 0.05
    np.testing.assert_allclose(served(**asked)["score"], nobody, atol=tolerance)


def test_scaling_is_saved_with_the_model_and_its_weights(make, tmp_path):
    model = _noisy(make(_events("ab")))
    np.testing.assert_allclose(
        (model.trend if isinstance(model, TwoTower) else model.features).numbers.mean[0],
        2,
        rtol=1e-6,
    )
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    expected = model.scorer(State.of(_events("abcd")))(EVERYONE)
    np.testing.assert_array_equal(loaded.scorer(State.of(_events("abcd")))(EVERYONE), expected)
    # Weights that are trained further on other events keep what was fitted first.
    model.save_weights(tmp_path / "model.weights.h5")
    later = make(_events("abcdefgh"))
    later.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(later.scorer(State.of(_events("abcd")))(EVERYONE), expected)


def test_the_context_is_fitted_once_and_saved(tmp_path):
    frame = pd.DataFrame({"user_id": list("uvw"), "item_id": list("aba"), "hour": [1.0, 3.0, 2.0]})
    events = Interactions.from_frame(frame, _catalogue())
    features = Features(context=[Number(column="hour")])
    model = Ranker(events, dim=4, hidden=[4], features=features)
    model.save(tmp_path / "ranker.keras")
    loaded = keras.models.load_model(tmp_path / "ranker.keras")
    assert loaded.spec.context_side.features[0].mean == 2.0
    other = Interactions.from_frame(frame.assign(hour=[10.0, 30.0, 20.0]), _catalogue())
    later = Ranker(other, dim=4, hidden=[4], features=features)
    model.save_weights(tmp_path / "w.weights.h5")
    with pytest.raises(InputError, match="other features"):
        later.load_weights(tmp_path / "w.weights.h5")


def test_what_becomes_a_feature_is_said_and_can_be_chosen(make, caplog):
    columns = {"tmdbId": np.arange(8), "price": PRICE, "avg_rating": np.arange(8.0)}
    frame = pd.DataFrame({"item_id": list("abcdefgh")} | columns)
    with caplog.at_level(logging.WARNING):
        model = make(_events(catalogue=Catalogue(frame)))
    assert [*model.spec.numbers] == ["avg_rating", "price"]
    assert (
        "features: avg_rating, price and ignores these, which look like ids: tmdbId;" in caplog.text
    )
    assert "numbers=[...]" in caplog.text
    caplog.clear()
    chosen = make(_events(catalogue=Catalogue(frame, numbers=["price"])))
    assert chosen.spec.feature_names[-2:] == ("unseen", "price")
    assert make(_events(catalogue=Catalogue(frame, numbers=[]))).spec.numbers == {}
    assert caplog.text == ""
