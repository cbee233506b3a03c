"""A classic model and a reranker of the user's own, from the command line to TF Serving."""

import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tfrec_fusion.cli import main
from tfrec_fusion.errors import InputError
from tfrec_fusion.export import Recommender
from tfrec_fusion.models.classic import ClassicModel
from tfrec_fusion.training import Run

MODULE = """
import numpy as np
from tfrec_fusion._compat import tf
from tfrec_fusion.models.classic import ClassicModel, ItemItem, Options
from tfrec_fusion.rerank.reranker import Reranker

class Times(Options):
    times: float = 1.0

class BoughtTogether(ClassicModel):
    Config = Times

    def fitted(self, train):
        together = (train.matrix().T @ train.matrix()).toarray()
        np.fill_diagonal(together, 0)
        return ItemItem(self.config.times * together)

class CheapFirst(Reranker):
    def __init__(self, weight):
        self.weight = weight

    def fit(self, catalogue, state):
        self.price = tf.Variable(catalogue.frame["price"].to_numpy("float32"), trainable=False)

    def __call__(self, rows, scores, request):
        scores -= self.weight * tf.gather(self.price, tf.maximum(rows, 0))
        order = tf.argsort(scores, direction="DESCENDING", stable=True)
        return tuple(tf.gather(one, order, batch_dims=1) for one in (rows, scores))
"""
# The last item of each is the test's: training has a and b together twice, a and c once.
HISTORIES = {"u": "abc", "v": "abd", "w": "acd"}
PRICES = {"a": 1.0, "b": 2.0, "c": 5.0, "d": 3.0, "e": 9.0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    (folder / "my_parts.py").write_text(MODULE)
    items = {"item_id": [*PRICES], "title": [*PRICES], "price": [*PRICES.values()]}
    pd.DataFrame(items).to_parquet(folder / "items.parquet")
    rows = [(user, item) for user, items in HISTORIES.items() for item in items]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id"])
    frame["timestamp"] = 1.7e9 + 86_400.0 * np.arange(len(frame))
    frame.to_parquet(folder / "interactions.parquet")
    config = {
        "data": {"interactions": "interactions.parquet", "items": "items.parquet"},
        "split": {"kind": "leave_one_out"},
        "model": {"kind": "my_parts:BoughtTogether", "times": 10.0},
        "rerank": [{"kind": "my_parts:CheapFirst", "weight": 6.0}],
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def version(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["train", "--config", "config.json", "--out", "run"]) == 0
        assert main(["export", "run", "--to", "shop", "--train-only", "--no-deployment"]) == 0
        yield folder / "shop" / "1"
    sys.modules.pop("my_parts", None)


def test_it_is_trained_and_evaluated(version, folder):
    run = Run.open(folder / "run")
    assert run.config.model.kind == "my_parts:BoughtTogether"
    # u had a and b, so c scores 10 and d and e 0; v likewise; w had a and c, so b scores 20.
    # The targets: c is u's first; d, v's, ties with e behind c; d, w's, ties with e behind b.
    # NDCG of a tie for the places 2 and 3 is the mean of 1 / log2(3) and 1 / log2(4).
    tie = (1 / np.log2(3) + 1 / np.log2(4)) / 2
    found = run.metrics()["evaluation"]["slices"]["total"]["metrics"]["ndcg@10"]
    assert found == pytest.approx((1 + 2 * tie) / 3, abs=1e-6)


def test_a_model_that_reads_no_ages_takes_none(version):
    shop = Recommender(version)
    assert "history_age" not in shop.card["signatures"]["recommend"]["inputs"]
    with pytest.raises(InputError, match="history_ages are for models that read the ages"):
        shop.recommend(history=["c"], history_ages=[1.0])


@pytest.mark.slow
def test_a_process_that_has_neither_the_class_nor_the_package_answers(version, folder):
    def texts(values):
        return np.array(values, object)

    one = {"exclude": texts([[""]]), "include": texts([[""]]), "exclude_seen": np.array([False])}
    request = {"user_id": texts(["u"]), "history": texts([[""]]), "k": np.array([5], np.int32)}
    todo = [
        (
            str(version),
            "score",
            {"user_id": texts(["u"]), "item_id": texts([["c", "b", "e", "x"]])},
        ),
        (str(version), "recommend", {**request, **one}),
        (str(version), "recommend", {**request, **one, "exclude": texts([["d", "x"]])}),
        (str(version), "recommend", {**request, **one, "history": texts([["c"]])}),
        (str(version), "serving_default", {"user_id": texts(["nobody"])}),
    ]
    (folder / "requests").write_bytes(pickle.dumps(todo))
    script = Path(__file__).parents[1] / "fixtures" / "clean_process.py"
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    command = [sys.executable, script, folder / "requests", folder / "answers"]
    done = subprocess.run(command, cwd=elsewhere, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    score, *lists = pickle.loads((folder / "answers").read_bytes())
    # u's a and b: c is 10 of a, b is 20 of a; the scores know of no reranker.
    assert score["score"].tolist() == [[10.0, 20.0, 0.0, 0.0]]
    expected = [
        # Less 6 times the price: c 10 - 30, d 0 - 18, e 0 - 54; c would be first without.
        {"d": -18.0, "c": -20.0, "e": -54.0},
        {"c": -20.0, "e": -54.0},
        # c's neighbour is a: a 10 - 6, b 0 - 12, d 0 - 18, e 0 - 54.
        {"a": 4.0, "b": -12.0, "d": -18.0, "e": -54.0},
        # Nothing known: all 0, so the cheapest are first.
        {"a": -6.0, "b": -12.0, "d": -18.0, "c": -30.0, "e": -54.0},
    ]
    for answer, wanted in zip(lists, expected, strict=True):
        ids = [item.decode() for item in answer["item_id"][0] if item]
        assert ids == list(wanted)
        np.testing.assert_allclose(answer["score"][0, : len(ids)], [*wanted.values()], atol=1e-5)


def test_the_card_and_the_signatures(version):
    card = Recommender(version).card
    assert card["model"] == "BoughtTogether"
    assert card["model_config"] == {"times": 10.0}
    assert card["rerank"] == [{"kind": "my_parts:CheapFirst", "weight": 6.0}]
    # A query is the scores themselves, which is no vector to match with an item's.
    small = {"recommend_user", "recommend_history"}
    assert set(card["signatures"]) == {"serving_default", "recommend", "score", "similar", *small}


def test_it_is_recommended_from_and_refreshed(version, folder, capsys):
    assert main(["recommend", "run", "--user", "u", "--json", "best.json"]) == 0
    best = json.loads(Path("best.json").read_text())["items"]
    # Of the run, without its reranker, and with all events: u had a, b and c.
    assert [(item["item_id"], item["score"]) for item in best] == [("d", 0.0), ("e", 0.0)]
    newer = pd.read_parquet(folder / "interactions.parquet")
    more = pd.DataFrame({"user_id": ["u"], "item_id": ["d"], "timestamp": [1.7e9 + 1e6]})
    pd.concat([newer, more]).to_parquet(folder / "newer.parquet")
    command = ["export", "run", "--to", "shop", "--no-deployment", "--refresh-trend"]
    assert main([*command, "--interactions", "newer.parquet"]) == 0
    found = Recommender(folder / "shop" / "2")
    # u has all but e now, and what was fitted is as before: e's weights are 0.
    assert found.recommend("u") == [("e", -54.0)]


def test_wrong_kinds_and_options(folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    config = json.loads((folder / "config.json").read_text())
    for change, says in (
        ({"model": {"kind": "my_parts:Nothing"}}, "model.kind: 'my_parts:Nothing' cannot be"),
        ({"model": {"kind": "my_parts:CheapFirst"}}, "must name a subclass of"),
        ({"model": {"kind": "my_parts:BoughtTogether", "x": 1}}, "BoughtTogether: x: Extra"),
        ({"model": {"kind": "eas"}}, "model.kind: must be one of two_tower, ranker, ease"),
        ({"model": {"kind": "ease", "k": 3}}, "model.k: unknown key; the keys here are cold,"),
        ({"model": {"kind": "ease", "l2": 0}}, "model.l2: Input should be greater than 0"),
        (
            {"model": {"kind": "ease"}, "epochs": 3},
            "epochs applies only to models that are trained",
        ),
    ):
        (folder / "wrong.json").write_text(json.dumps({**config, **change}))
        assert main(["train", "--config", "wrong.json", "--out", "wrong"]) != 0
        assert says in capsys.readouterr().err
        assert not (folder / "wrong").exists()


@pytest.mark.parametrize("found", [None, np.eye(3, dtype=np.float32)])
def test_a_model_whose_fitted_returns_something_else(make_events, found):
    class Wrong(ClassicModel):
        def fitted(self, train):
            return found

    events = make_events([("u", "a"), ("v", "b")], items="abc")
    with pytest.raises(InputError, match="fitted must return ItemItem, ItemVectors or ItemScores"):
        Wrong().fit(events)
    with pytest.raises(InputError, match=r"Wrong.fit: pass Interactions.*NoneType"):
        Wrong().fit(None)
