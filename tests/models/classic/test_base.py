import numpy as np
import pytest

from tfrec_fusion.errors import InputError
from tfrec_fusion.evaluation import default_baselines, evaluate
from tfrec_fusion.features import State
from tfrec_fusion.models.classic import EASE, Popularity

TRAIN = [("u", "a"), ("v", "a"), ("w", "b"), ("u", "b"), ("v", "c"), ("w", "d")]
TEST = [("u", "c"), ("v", "e")]
VECTORS = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)


def test_scoring_before_fitting(temporal):
    with pytest.raises(InputError, match="popularity: scorer was called before fit"):
        evaluate(Popularity(), temporal(TRAIN, TEST))


def test_another_catalogue(temporal):
    baseline = Popularity().fit(temporal(TRAIN, TEST).train)
    with pytest.raises(InputError, match=r"5 items\. Received: 6 items"):
        baseline.scorer(State.of(temporal(TRAIN, TEST, items="abcdef").train))


def test_defaults_are_those_that_apply(temporal):
    names = [b.name for b in default_baselines(temporal(TRAIN, TEST).train)]
    assert names == ["popularity", "recent popularity", "item-kNN", "EASE", "EASE x trend"]
    named = temporal(TRAIN, TEST, vectors={"text": VECTORS}).train
    fused = ["text mean", "EASE + text", "EASE + text x trend"]
    assert [b.name for b in default_baselines(named)][4:] == fused


def test_the_model_itself_is_no_baseline(temporal):
    train = temporal(TRAIN, TEST, vectors={"text": VECTORS}).train
    every = default_baselines(train)
    for place, one in enumerate(every):
        others = default_baselines(train, without=type(one)(**one.config.model_dump()))
        assert [b.name for b in others] == [b.name for b in every[:place] + every[place + 1 :]]
    tuned = default_baselines(train, without=EASE(l2=1.0))
    assert len(tuned) == len(every)


def test_defaults_without_times(temporal):
    train = temporal(TRAIN, TEST).train
    train._columns.pop("timestamp")
    names = [b.name for b in default_baselines(train)]
    assert names == ["popularity", "item-kNN", "EASE"]


def test_every_default_is_evaluated(temporal):
    split = temporal(TRAIN, TEST, vectors={"text": VECTORS})
    for baseline in default_baselines(split.train):
        baseline.fit(split.train)
        scores = baseline.scorer(State.of(split.train))(np.array([0, -1, 2], np.int32))
        assert scores.shape == (3, 5)
        assert scores.dtype == np.float32
        assert 0 <= evaluate(baseline, split).metrics["total"]["ndcg@10"] <= 1
