import json
from types import SimpleNamespace

import numpy as np
import pytest

from tfrec_fusion._compat import tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.evaluation import evaluate_ranker
from tfrec_fusion.training import Run


class _Scores:
    """A scorer from a function of (user rows `[B]`, item rows `[n_items]`) to `[B, n_items]`."""

    def __init__(self, score):
        self._score = score

    def scorer(self, state):
        items = np.arange(len(state.catalogue))
        return lambda users: self._score(users[:, None], items[None, :]).astype(np.float32)


class _Logits:
    """A ranker whose logit is a function of the rows of users and items."""

    ranks_catalogue = False
    name = "logits"
    spec = SimpleNamespace(context_side=None, event_side=None, label_rates=False, numbers=())

    def __init__(self, logit):
        self._logit = logit

    def check(self, events):
        pass

    def __call__(self, batch):
        user = tf.reshape(batch["user"], [-1] + [1] * (batch["item"].shape.rank - 1))
        return tf.cast(self._logit(user, batch["item"]), tf.float32)


@pytest.fixture(scope="module")
def split(small_shop):
    from tfrec_fusion.data import Catalogue, Interactions

    shop = Catalogue.from_parquet(small_shop / "items.parquet")
    return Interactions.from_parquet(small_shop / "interactions.parquet", shop).split("temporal")


def test_the_truth_reaches_one_and_a_constant_half(split):
    bought = np.zeros((len(split.train.users), 30), bool)
    known = split.test.user >= 0
    bought[split.test.user[known], split.test.item[known]] = True
    truth = evaluate_ranker(_Scores(lambda users, items: bought[users, items]), split)
    # No item that a user has, in training or test, is one of their negatives.
    assert truth.gauc == 1.0
    assert truth.events == known.sum()
    constant = evaluate_ranker(_Scores(lambda users, items: 0.0 * (users + items)), split)
    assert constant.gauc == 0.5
    # Every model is asked about the same sample.
    one, two = (evaluate_ranker(_Scores(lambda u, i: (7 * u + 5 * i) % 11), split) for _ in "ab")
    assert one.gauc == two.gauc
    with pytest.raises(InputError, match="negatives must be at least 1"):
        evaluate_ranker(_Scores(lambda u, i: u + i), split, negatives=0)


@pytest.fixture
def labelled(make_events):
    """Users a, b and c; the test period has labels 0 and 1 for a and b, and 0 alone for c."""
    train = [(user, item, i) for i, (user, item) in enumerate(["aw", "bw", "cx", "ax", "bx"])]
    test = [
        ("a", "y", 1),
        ("a", "z", 0),
        ("b", "y", 0),
        ("b", "z", 1),
        ("c", "w", 0),
        ("c", "z", 0),
    ]
    rows = [*train, *((user, item, 10 + i) for i, (user, item, _) in enumerate(test))]
    label = [1.0] * len(train) + [float(one) for *_, one in test]
    part = ["train"] * len(train) + ["test"] * len(test)
    return make_events(rows, items="wxyz", label=label, split=part).split("given")


def test_labelled_test_events_are_positives_and_negatives(labelled):
    # y is scored above z: right for a, wrong for b; c took nothing.
    report = evaluate_ranker(_Scores(lambda users, items: -1.0 * items + 0 * users), labelled)
    assert report.negatives == 0 and report.events == 6
    assert report.gauc == 0.5
    total = report.counts["total"]
    assert (total["users"], total["users_of_one_label"], total["lists"]) == (3, 1, 2)
    assert (total["positives"], total["negatives"]) == (2, 4)
    assert report.metrics["total"]["ndcg@10"] == pytest.approx((1 + 1 / np.log2(3)) / 2)
    assert "6 labelled events" in str(report)
    # Both targets are cold, and so rare; of the warm items none was taken.
    assert report.metrics["cold"]["gauc"] == report.metrics["rare"]["gauc"] == 0.5
    assert np.isnan(report.metrics["warm"]["gauc"])
    sampled = evaluate_ranker(
        _Scores(lambda users, items: -1.0 * items + 0 * users), labelled, negatives=1, slices=False
    )
    assert sampled.negatives == 1 and list(sampled.metrics) == ["total"]


def test_a_ranker_has_probabilities_and_other_models_a_dash(labelled):
    ranker = evaluate_ranker(_Logits(lambda users, items: 0 * users + 0 * items), labelled)
    # 1/2 for all, of which 1/3 was taken.
    entropy = -(np.log(1 / 3) + 2 * np.log(2 / 3)) / 3
    expected = {"log_loss": np.log(2), "normalised_entropy": np.log(2) / entropy, "ece": 1 / 6}
    metrics = ranker.metrics["total"]
    assert {name: metrics[name] for name in expected} == pytest.approx(expected, rel=1e-6)
    assert ranker.name == "logits"
    scores = evaluate_ranker(_Scores(lambda users, items: 0.0 * (users + items)), labelled)
    lines = {line.split("│")[1].strip(): line for line in str(scores).splitlines() if "│" in line}
    assert lines["ECE"].split("│")[2].strip() == "-"
    assert lines["AUC"].split("│")[2].strip() == "0.5000"
    told = json.loads(json.dumps(scores.to_dict(), allow_nan=False))
    assert told["slices"]["total"]["metrics"]["log_loss"] is None
    assert told["gauc"] == told["slices"]["total"]["metrics"]["gauc"] == 0.5
    low, high = ranker.intervals["total"]["log_loss"]
    assert low == pytest.approx(np.log(2)) == high
    plain = evaluate_ranker(_Logits(lambda u, i: u + i), labelled, bootstrap=0)
    assert plain.intervals["total"] == {} and "interval" not in str(plain)


def test_slices_of_a_sampled_evaluation(split):
    report = evaluate_ranker(_Logits(lambda users, items: items % 5 - 2 + 0 * users), split)
    assert list(report.metrics) == ["total", "warm", "cold", "rare", "new users", "old users"]
    counts = report.counts
    # Each event is a positive and a list, beside four negatives.
    assert counts["total"]["lists"] == counts["total"]["positives"] == report.events
    assert counts["total"]["negatives"] == 4 * report.events
    for parts in (("warm", "cold"), ("new users", "old users")):
        for count in ("lists", "positives"):
            assert sum(counts[label][count] for label in parts) == counts["total"][count]
    assert counts["cold"]["positives"] > 0
    assert counts["rare"]["positives"] >= counts["cold"]["positives"]
    for label, values in report.intervals.items():
        for name, (low, high) in values.items():
            # Each bin of a resample has more noise, so an ECE may be below its interval.
            assert low <= report.metrics[label][name] <= high or name == "ece"


def test_arguments_out_of_range(split, labelled):
    model = _Scores(lambda u, i: u + i)
    for options, told in (
        ({"negatives": -1}, r"negatives must be a whole number of 0 or more. Received: -1"),
        ({"negatives": 1.5}, r"negatives must be a whole number of 0 or more. Received: 1.5"),
        ({"bootstrap": -1}, r"bootstrap must be a whole number of 0 or more. Received: -1"),
        ({"split": labelled.test}, r"split must be a Split, .* Received: Interactions"),
        ({"model": 3}, r"model must have a method scorer.* Received: int"),
    ):
        with pytest.raises(InputError, match=rf"evaluate_ranker: {told}"):
            evaluate_ranker(**({"model": model, "split": labelled} | options))


@pytest.mark.slow
def test_a_ranker_is_trained_kept_and_judged(config, tmp_path):
    options = {"model": {"kind": "ranker", "dim": 8, "hidden": [8]}, "epochs": 2}
    whole = Run.start(tmp_path / "whole", config(**options))
    metrics = whole.train()
    assert whole.config.examples.kind == "ranking"
    assert 0 < metrics["evaluation"]["gauc"] < 1
    assert metrics["evaluation"]["gauc"] == pytest.approx(whole.evaluate().gauc)
    assert next(whole.evaluate_baselines()).events == metrics["evaluation"]["events"]
