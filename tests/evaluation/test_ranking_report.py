import numpy as np
import pytest

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


@pytest.mark.slow
def test_a_ranker_is_trained_kept_and_judged(config, tmp_path):
    options = {"model": {"kind": "ranker", "dim": 8, "hidden": [8]}, "epochs": 2}
    whole = Run.start(tmp_path / "whole", config(**options))
    metrics = whole.train()
    assert whole.config.examples.kind == "ranking"
    assert 0 < metrics["evaluation"]["gauc"] < 1
    assert metrics["evaluation"]["gauc"] == pytest.approx(whole.evaluate().gauc)
    assert next(whole.evaluate_baselines()).events == metrics["evaluation"]["events"]
