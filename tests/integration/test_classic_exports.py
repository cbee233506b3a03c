"""Classic models from the command line, and EASE at the size of a shop."""

import json

import numpy as np
import pandas as pd
import pytest

from tfrec_fusion._compat import tf
from tfrec_fusion.cli import main
from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.export import Recommender, export
from tfrec_fusion.features import State
from tfrec_fusion.models.classic import EASE
from tfrec_fusion.training import Run

KINDS = [
    "item_knn",
    "user_knn",
    "ials",
    "light_gcn",
    "ease",
    "spectral",
    "popularity",
    "recent_popularity",
    "text_mean",
]
VECTORS = {
    "popularity": False,
    "recent_popularity": False,
    "text_mean": True,
    "ials": True,
    "spectral": True,
    "light_gcn": True,
}


def _train_and_export(kind, small_shop, folder):
    options = ["--interactions", str(small_shop / "interactions.parquet")]
    options += ["--items", str(small_shop / "items.parquet")]
    options += ["--vectors", str(small_shop / "text.npy"), "--model", kind]
    if kind == "text_mean":
        (folder / "dims.yaml").write_text("model: {kind: text_mean, dims: 4}\n")
        options += ["--config", str(folder / "dims.yaml")]
    assert main(["train", *options, "--out", str(folder / "run")]) == 0
    rules = folder / "rules.yaml"
    rules.write_text("block: [{item: i3}]\n")
    command = ["export", str(folder / "run"), "--to", str(folder / "shop"), "--no-deployment"]
    assert main([*command, "--rules", str(rules), "--filter", "title"]) == 0
    return Run.open(folder / "run"), folder / "shop" / "1"


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS])
def test_a_kind_is_trained_evaluated_exported_and_refreshed(kind, small_shop, tmp_path):
    run, version = _train_and_export(kind, small_shop, tmp_path)
    assert 0 <= run.metrics()["evaluation"]["slices"]["total"]["metrics"]["ndcg@10"] <= 1
    assert run.done and not run.logs.exists()
    events = run.events()
    scores = run.model().scorer(State.of(events))
    loaded, found = tf.saved_model.load(str(version)), Recommender(version)
    ids, users = events.catalogue.vocabulary.ids, events.users.ids[:4]
    everything = tf.constant(np.tile(ids, (4, 1)))
    answer = loaded.signatures["score"](user_id=tf.constant(users), item_id=everything)["score"]
    expected = scores(np.arange(4, dtype=np.int32))
    np.testing.assert_allclose(answer, expected, atol=1e-5)
    assert ("user_vector" in loaded.signatures) == VECTORS.get(kind, False)
    for row, user in enumerate(users):
        best = found.recommend(user, exclude=["i4"], k=30)
        seen = {ids[i] for i in events.histories().of(row)}
        assert {item for item, _ in best} == set(ids) - seen - {"i3", "i4"}
        wanted = dict(zip(ids, expected[row], strict=True))
        np.testing.assert_allclose([s for _, s in best], [wanted[i] for i, _ in best], atol=1e-5)
        assert found.recommend(user, filters={"title": found.titles[best[1][0]]}) == [
            (best[1][0], pytest.approx(best[1][1], abs=1e-5))
        ]
    command = ["export", str(tmp_path / "run"), "--to", str(tmp_path / "shop"), "--no-deployment"]
    newer = str(small_shop / "interactions.parquet")
    assert main([*command, "--refresh-trend", "--interactions", newer]) == 0
    again = Recommender(tmp_path / "shop" / "2")
    assert again.card["kept"] == ["filters", "rules"]
    assert again.recommend(users[0], k=5) == found.recommend(users[0], k=5)
    path = tmp_path / "best.json"
    assert main(["recommend", str(tmp_path / "run"), "--user", users[0], "--json", str(path)]) == 0
    assert len(json.loads(path.read_text())["items"]) == 10


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ease", "sparse_ease"])
def test_decays_and_trends_are_in_the_graph_and_follow_newer_events(kind, small_shop, tmp_path):
    table = pd.read_parquet(small_shop / "interactions.parquet")
    late = table["timestamp"] >= table["timestamp"].quantile(0.8)
    older = tmp_path / "older.parquet"
    table[~late].to_parquet(older)
    options = f"{{kind: {kind}, l2: 20, vectors: text, text_weight: 5, dims: 6, "
    options += "trend_power: 0.8, step_decay: 0.9, half_life_days: 40, event_half_life_days: 200, "
    options += "transition_weight: 0.05}"
    (tmp_path / "run.yaml").write_text(f"model: {options}\n")
    command = ["train", "--config", str(tmp_path / "run.yaml"), "--interactions", str(older)]
    command += ["--items", str(small_shop / "items.parquet"), "--split", "none"]
    command += ["--vectors", str(small_shop / "text.npy"), "--out", str(tmp_path / "run")]
    assert main(command) == 0
    run = Run.open(tmp_path / "run")
    command = ["export", str(tmp_path / "run"), "--to", str(tmp_path / "shop"), "--no-deployment"]
    assert main(command) == 0
    newer = str(small_shop / "interactions.parquet")
    assert main([*command, "--refresh-trend", "--interactions", newer]) == 0
    # Four bytes more a number, or fewer, must not turn the history round.
    assert main([*command, "--precision", "int8", "--min-overlap", "0.9"]) == 0
    every = run.events()
    versions = {"1": (every, 1e-5), "2": (run.events(newer), 1e-5), "3": (every, 0.02)}
    for number, (events, atol) in versions.items():
        loaded = tf.saved_model.load(str(tmp_path / "shop" / number))
        ids, users = events.catalogue.vocabulary.ids, events.users.ids[:8]
        expected = run.model().scorer(State.of(events))(np.arange(8, dtype=np.int32))
        everything = tf.constant(np.tile(ids, (8, 1)))
        answer = loaded.signatures["score"](user_id=tf.constant(users), item_id=everything)
        np.testing.assert_allclose(answer["score"], expected, atol=atol)
    # A history of the request: ages 0, the last item is the latest.
    shop = Recommender(tmp_path / "shop" / "2")
    factors = run.model().scores.trend.of(State.of(run.events(newer)))
    scores = (0.9 * run.model().scores.weights[[3]] + run.model().scores.weights[[5]]) * factors
    scores = np.asarray(scores.todense() if kind == "sparse_ease" else scores).ravel()
    found = shop.recommend("nobody", history=[ids[3], ids[5]], k=28)
    wanted = dict(zip(ids, scores, strict=True))
    np.testing.assert_allclose([s for _, s in found], [wanted[i] for i, _ in found], atol=1e-5)


@pytest.fixture(scope="module")
def large():
    """10,000 items of two colours, and 3,000 users with 20 events each."""
    rng = np.random.default_rng(0)
    n_items, n_users = 10_000, 3_000
    items = pd.DataFrame(
        {
            "item_id": [f"item {row}" for row in range(n_items)],
            "colour": np.where(np.arange(n_items) % 3, "red", "blue"),
        }
    )
    user = np.repeat(np.arange(n_users), 20)
    # Neighbouring items go together.
    item = (user * 37 + np.abs(rng.normal(0, 30, len(user))).astype(int)) % n_items
    frame = pd.DataFrame({"user_id": [f"u{u}" for u in user], "item_id": items["item_id"][item]})
    return Interactions.from_frame(frame, Catalogue(items), duplicates="first")


@pytest.mark.acceptance
def test_exported_ease_answers_as_its_numpy_form(large, tmp_path):
    model = EASE(l2=50.0).fit(large)
    version = export(model, large, tmp_path / "shop", deployment=False, filters=["colour"])
    weights, matrix = model.scores.weights, State.of(large).matrix
    shop, ids = Recommender(version), large.catalogue.vocabulary.ids
    red = large.catalogue.frame["colour"].to_numpy() == "red"
    for row in (0, 7, 2_999):
        user, seen = large.users.ids[row], matrix[[row]].indices
        scores = np.asarray(matrix[[row]] @ weights)[0]
        left = np.ones(len(ids), bool)
        left[seen] = False
        _check(shop.recommend(user, k=50), scores, left, ids, 50)
        best = np.argsort(np.where(left, -scores, np.inf), kind="stable")[:5]
        left[best] = False
        _check(shop.recommend(user, exclude=ids[best], k=50), scores, left, ids, 50)
        found = shop.recommend(user, exclude=ids[best], k=50, filters={"colour": "red"})
        _check(found, scores, left & red, ids, 50)
    # A history of the request: the sum of its rows, and its own items do not come back.
    history = [3, 5, 9_000]
    left = np.ones(len(ids), bool)
    left[history] = False
    scores = weights[history].sum(0)
    _check(shop.recommend("nobody", history=ids[history], k=20), scores, left, ids, 20)


def _check(found, scores, left, ids, k):
    rows = {item: row for row, item in enumerate(ids)}
    chosen = [rows[item] for item, _ in found]
    assert len(set(chosen)) == len(found) == k and left[chosen].all()
    np.testing.assert_allclose([score for _, score in found], scores[chosen], atol=1e-5)
    np.testing.assert_allclose(scores[chosen], -np.sort(-scores[left])[:k], atol=1e-5)


@pytest.mark.acceptance
def test_the_sparse_form_is_the_way_out_of_the_limit(large, tmp_path):
    # 10,000 x 10,000 float32 are .37 GiB.
    model = EASE(l2=50.0, most_gib=0.3).fit(large)
    with pytest.raises(InputError, match=r"10,000 x 10,000 items are 0\.37 GiB.*EASE\(top=200\)"):
        export(model, large, tmp_path / "shop", deployment=False)
    assert not list((tmp_path / "shop").glob("[0-9]*"))
    strongest = model.scores.strongest(50)
    sparse = EASE(l2=50.0, most_gib=0.3, top=50)
    sparse.spec, sparse.scores = model.spec, strongest
    version = export(sparse, large, tmp_path / "shop", deployment=False)
    assert sum(path.stat().st_size for path in version.rglob("*")) < 20e6
    scores = sparse.scorer(State.of(large))(np.array([7], np.int32))[0]
    left = np.ones(len(scores), bool)
    left[large.histories().of(7)] = False
    found = Recommender(version).recommend(large.users.ids[7], k=20)
    _check(found, scores, left, large.catalogue.vocabulary.ids, 20)
