"""Calibrations of an untrained ranker: its logits order nothing, so that each is far off."""

import json
import logging

import numpy as np
import pytest
from scipy.special import expit

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.data import Split
from tfrec_fusion.errors import InputError
from tfrec_fusion.evaluation import evaluate_ranker, ranking_report
from tfrec_fusion.examples import ranking_examples
from tfrec_fusion.export import export
from tfrec_fusion.features import Category, Features, Number
from tfrec_fusion.models import TwoTower
from tfrec_fusion.models.calibration.slices import slice_codes
from tfrec_fusion.training import Run, calibrate

COLUMNS = Features(
    item=[Category(column="colour")], context=[Category(column="channel"), Number(column="hour")]
)


@pytest.fixture(scope="module")
def events(golden):
    return golden.ranker_events()


@pytest.fixture(scope="module")
def split(events):
    return events.split("temporal", test=0.4)


@pytest.fixture
def ranker(split, golden):
    keras.utils.set_random_seed(1)
    return golden.random_ranker(split.train, {"vectors": []})


@pytest.mark.parametrize("method", ["isotonic", "platt"])
def test_probabilities_change_and_the_order_does_not(split, ranker, method):
    kept = {"negatives": 9, "bootstrap": 0, "progress": False}
    before = evaluate_ranker(ranker, split, **kept)
    batch = next(iter(ranking_report.tested_pairs(ranker, split, 9, 0)))
    scores = ranker(batch).numpy()
    try:
        found = calibrate(ranker, split, method, negatives=9, progress=False)
    except InputError as error:
        assert method == "platt" and "must be positive" in str(error)
        for weight in ranker.head.linear.trainable_weights:
            weight.assign(-weight)
        return test_probabilities_change_and_the_order_does_not(split, ranker, method)
    assert found is ranker.calibration and found.head == "label"
    assert found.base_rate == pytest.approx(0.1) and found.rows == 10 * before.events
    after = evaluate_ranker(ranker, split, **kept)
    for slice_, metrics in before.metrics.items():
        for name in ("gauc", "auc", "ndcg@10"):
            assert after.metrics[slice_][name] == pytest.approx(metrics[name], nan_ok=True)
    # Judged on the rows it was fitted on: no worse than the share of positives.
    assert after.metrics["total"]["ece"] < 0.06 < 3 * 0.06 < before.metrics["total"]["ece"]
    assert after.metrics["total"]["normalised_entropy"] < 1.05
    np.testing.assert_array_equal(ranker(batch), scores)
    answers = ranker.answers(batch)
    np.testing.assert_array_equal(answers["score"], scores)
    np.testing.assert_allclose(answers["probability"], expit(found.logits(scores)), rtol=1e-5)
    order = np.argsort(scores, axis=None, kind="stable")
    # TensorFlow's sigmoid itself is not monotone in the last digit.
    assert (np.diff(answers["probability"].numpy().ravel()[order]) > -1e-6).all()


def test_it_is_saved_with_the_model_and_lost_by_training(split, ranker, tmp_path, caplog):
    calibrate(ranker, split, by="warm", min_rows=20, progress=False)
    assert ranker.calibration.names == {1: "warm"}  # nobody took a cold item
    ranker.compile("adam")
    ranker.save(tmp_path / "ranker.keras")
    loaded = keras.models.load_model(tmp_path / "ranker.keras")
    assert loaded.calibration == ranker.calibration
    batch = next(iter(ranking_report.tested_pairs(ranker, split, 2, 0)))
    expected = ranker.answers(batch)
    for name, values in loaded.answers(batch).items():
        np.testing.assert_allclose(values, expected[name], atol=1e-6)
    assert loaded.get_config() == ranker.get_config()
    with caplog.at_level(logging.WARNING):
        loaded.fit(ranking_examples(split.train, 512, negatives=1).take(1), verbose=0)
    assert loaded.calibration is None and "calibration" not in loaded.get_config()
    assert "training removed the calibration" in caplog.text


def test_slices_are_those_of_the_features(split, golden):
    model = golden.random_ranker(split.train, {"vectors": [], "features": COLUMNS})
    batch = next(iter(ranking_report.tested_pairs(model, split, 3, 0)))
    items, catalogue = batch["item"].numpy(), split.train.catalogue
    values = model.spec.item_side.features[0].vocabulary
    colour = catalogue.frame["colour"].to_numpy()[items]
    expected = np.select([colour == value for value in values], range(1, 1 + len(values)), -1)
    for by in ("colour", "item.colour"):
        np.testing.assert_array_equal(slice_codes(model, by, batch), expected)
    np.testing.assert_array_equal(slice_codes(model, "warm", batch), batch["is_warm"])
    # A row's context is that of all its items; a flat batch has one item a row.
    channel = slice_codes(model, "channel", batch).numpy()
    assert channel.shape == items.shape and (channel == channel[:, :1]).all()
    assert set(channel[:, 0]) == {-1, 1, 2}
    flat = {
        name: values[:, 0] if name in ("item", "is_warm") else values
        for name, values in batch.items()
    }
    np.testing.assert_array_equal(slice_codes(model, "channel", flat), channel[:, 0])
    calibrate(model, split, by="channel", min_rows=100, progress=False)
    found = model.calibration
    assert set(found.names.values()) == {"web", "Läden"} and found.by == "channel"
    few = calibrate(model, split, by="channel", min_rows=100_000, progress=False)
    assert few.slices == {}
    with pytest.raises(InputError, match=r"of colour, channel, warm, popularity, item.colour, con"):
        calibrate(model, split, by="price", progress=False)


@pytest.mark.slow
def test_an_export_answers_calibrated_probabilities(split, golden, tmp_path):
    model = golden.random_ranker(split.train, {"vectors": [], "features": COLUMNS})
    calibrate(model, split, by="channel", min_rows=100, progress=False)
    version = export(model, split.train, tmp_path / "rank")
    signatures = tf.saved_model.load(str(version)).signatures
    asked = 0
    for name, inputs, request in golden.ranker_requests(model, split.train):
        if name not in ("serving_default", "score"):
            continue
        found = signatures[name](**{key: tf.constant(value) for key, value in inputs.items()})
        batch = golden.ranker_batch(model, split.train, request)
        for answer, values in model.answers(batch).items():
            np.testing.assert_allclose(found[answer], values, **golden.TOLERANCE)
        apart = np.abs(found["probability"] - expit(found["score"].numpy()))
        asked += (apart > 0.01).any()
    assert asked
    card = json.loads((version / "model_card.json").read_text(encoding="utf-8"))
    told = card["signatures"]["score"]["outputs"]
    assert told["probability"].endswith(
        ", calibrated (isotonic) where 0.2 of the rows are positive"
    )
    assert told["score"] == "float32 [B, N]: the logit"


def test_errors(split, events, ranker, caplog):
    def refused(told, *arguments, **options):
        with pytest.raises(InputError, match=f"calibrate: {told}"):
            calibrate(*arguments, **{"progress": False, **options})

    refused(
        "method must be one of isotonic, platt, temperature. Received: 'beta'",
        ranker,
        split,
        "beta",
    )
    refused("min_rows must be at least 1. Received: 0", ranker, split, min_rows=0)
    refused("negatives must be a whole number of 0 or more", ranker, split, negatives=-1)
    refused("only a Ranker with a binary head", TwoTower(split.train, dim=4), split)
    trained_on = Split(split.train, split.train, "temporal", 0.0)
    refused(f"{len(split.train)} of {len(split.train)} test events are among", ranker, trained_on)
    taken = split.test.select(np.zeros(len(split.test), bool))
    empty = Split(split.train, taken, "temporal", split.time)
    refused(
        "the test events of known users must give positives and negatives",
        ranker,
        empty,
        negatives=1,
    )
    # A model of all the training events, on a part of them.
    caplog.clear()
    part = split.validation(test=0.5)
    if part.train.users.fingerprint != split.train.users.fingerprint:
        calibrate(ranker, part, progress=False)
        assert "built from events of other users" in caplog.text
    ranker.head.linear.bias.assign([np.nan])
    refused(r"\d+ of \d+ logits are not finite", ranker, split)


def test_a_model_of_several_heads(golden, events):
    split = events.split("temporal", test=0.4)
    heads = {"stars": "regression", "buy": "binary"}
    model = golden.random_ranker(split.train, {"vectors": [], "heads": heads})
    found = calibrate(model, split, progress=False)
    assert found.head == "buy"
    batch = next(iter(ranking_report.tested_pairs(model, split, 2, 0)))
    answers, plain = model.answers(batch), model.heads.answers(model(batch, by_head=True))
    np.testing.assert_array_equal(answers["probability"], answers["buy"])
    assert (np.abs(answers["buy"] - plain["buy"]) > 0.01).any()
    for name in ("stars", "score"):
        np.testing.assert_array_equal(answers[name], plain[name])


def test_a_config_calibrates_a_ranker_alone(config):
    with pytest.raises(InputError, match="calibration is of the probabilities"):
        config(calibration={"method": "platt"})
    with pytest.raises(InputError, match="calibration applies only to models that are trained in"):
        config(model={"kind": "ease"}, batch_size=None, epochs=None, calibration={})
    with pytest.raises(InputError, match=r"calibration.methods: unknown key; the keys here are "):
        config(model={"kind": "ranker"}, calibration={"methods": "platt"})


@pytest.mark.slow
def test_a_run_calibrates_on_events_that_it_leaves_out(config, tmp_path):
    options = {"model": {"kind": "ranker", "dim": 8, "hidden": [8]}, "epochs": 1}
    calibration = {"method": "isotonic", "share": 0.3}
    run = Run.start(tmp_path / "run", config(**options, calibration=calibration))
    metrics = run.train()
    model = Run.open(tmp_path / "run").model()
    part = run.split.validation(test=0.3)
    assert model.calibration.method == "isotonic"
    # Known users' events of the held-out part, four sampled items beside each.
    assert model.calibration.rows == 5 * (part.test.user >= 0).sum()
    # The test has more sampled items to an event, yet it is of the calibrated probabilities.
    ece = metrics["evaluation"]["slices"]["total"]["metrics"]["ece"]
    model.calibration = None
    plain = evaluate_ranker(model, run.split).metrics["total"]["ece"]
    assert ece < plain
    whole = config(**options, calibration=calibration | {"share": 0.5})
    with pytest.raises(InputError, match=r"calibration.share is 0.3 there and 0.5 here"):
        Run.start(tmp_path / "run", whole)
