"""The signatures `search`, `search_text` and `search_vector`."""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tfrec_fusion._compat import tf
from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.embeddings import LexicalEncoder, NGramEncoder
from tfrec_fusion.errors import InputError
from tfrec_fusion.export import Recommender, SearchConfig, export
from tfrec_fusion.features import State
from tfrec_fusion.models import Ranker, SearchModel
from tfrec_fusion.models.classic import ItemKNN, Popularity
from tfrec_fusion.retrieval.bm25 import BM25

LOWEST = np.finfo(np.float32).min
TITLES = ["red mug", "blue mug", "red lamp", "Blaue Lampe", "green café chair", "chair", "mug mug"]
VECTORS = np.float32([[1, 0], [1, 1], [0, 1], [-1, 1], [-1, 0], [2, 1], [0, 0]])  # the last: none
OPTIONS = {"deployment": False}
CONFIG = {"texts": ["title"], "vectors": "text", "candidates": 4, "rank_constant": 10.0}


def _events():
    frame = pd.DataFrame({"item_id": [*"abcdefg"], "title": TITLES})
    frame["price"] = [1.0, 2, 3, 4, 5, 6, 7]
    frame["tags"] = [["x", "zebra"], [], ["x"], [], ["y"], [], []]
    catalogue = Catalogue(frame, {"text": VECTORS})
    rows = {"user_id": [*"uuvvwwx"], "item_id": [*"acacbdc"]}
    return Interactions.from_frame(pd.DataFrame(rows), catalogue)


@pytest.fixture(scope="module")
def small():
    return _events()


@pytest.fixture(scope="module")
def knn(small):
    return ItemKNN(k=3).fit(small)


@pytest.fixture(scope="module")
def shop(small, knn, tmp_path_factory):
    folder = tmp_path_factory.mktemp("search") / "shop"
    rules = {"block": [{"item": "e"}]}
    options = {"search": CONFIG, "filters": ["price"], "rules": rules, **OPTIONS}
    return Recommender(export(knn, small, folder, **options))


def _ranks(scores, there, most=4):
    """Row -> rank of the best `most` items."""
    order = [row for row in np.argsort(-scores, kind="stable") if there[row]]
    return {row: rank for rank, row in enumerate(order[:most], 1)}


def _expected(query, vector, user_scores, allowed, k):
    """Item id -> score by `SearchConfig`'s definition, best first."""
    lists = []
    if vector is not None and any(vector):
        lengths = np.linalg.norm(VECTORS, axis=1)
        cosines = VECTORS @ np.asarray(vector) / np.maximum(lengths, 1e-9) / np.linalg.norm(vector)
        lists.append(_ranks(cosines, allowed & (lengths > 0)))
    if query:
        scores = BM25().fit(TITLES).scores([query])[0]
        lists.append(_ranks(scores, allowed & (scores > 0)))
    gains = {}
    for ranks in lists:
        for row, rank in ranks.items():
            gains[row] = gains.get(row, 0.0) + 1 / (10 + rank)
    if user_scores is not None:
        order = sorted(gains, key=lambda row: (-user_scores[row], row))
        for rank, row in enumerate(order, 1):
            gains[row] += 0.5 / (10 + rank)
    best = sorted(gains, key=lambda row: (-gains[row], row))[:k]
    return [("abcdefg"[row], pytest.approx(gains[row], rel=1e-5)) for row in best]


def test_an_export_ranks_as_defined(shop, knn, small):
    for query, vector, user, price in (
        ("a red mugg", [1.0, 0.5], "u", None),
        ("blaue LAMPE", None, None, 4.0),
        ("", [-1.0, 3.0], "x", 3.0),
        ("zebra", None, "u", None),
        ("mug", [0.0, 0.0], "a stranger", None),
    ):
        scores = None if user is None else knn.scorer(State.of(small))(small.users.rows([user]))[0]
        allowed = np.arange(7) != 4  # e is blocked
        allowed &= np.arange(7) < (7 if price is None else price)
        filters = {} if price is None else {"price_max": price}
        found = shop.search(query, 3, user_id=user, vector=vector, filters=filters)
        assert found == _expected(query, vector, scores, allowed, 3)


def _ask(shop, signature, **inputs):
    found = shop._loaded.signatures[signature](**{n: tf.constant(v) for n, v in inputs.items()})
    return {name: value.numpy() for name, value in found.items()}


def test_rows_of_a_batch_are_of_their_own(shop):
    nan = float("nan")
    asked = {
        "query": ["mug", "", "zebra", "lamp"],
        "query_vector": np.float32([[nan, nan], [1, 0], [0, 0], [0, 1]]),
        "user_id": ["", "u", "u", ""],
        "k": np.int32([2, 0, 5, 3]),
        "price_min": np.float32([nan] * 4),
        "price_max": np.float32([nan, nan, nan, 3]),
    }
    together = _ask(shop, "search", **asked)
    assert together["item_id"].shape == together["score"].shape == (4, 5)
    for row in range(4):
        alone = _ask(shop, "search", **{n: v[row : row + 1] for n, v in asked.items()} | {"k": [5]})
        assert alone["item_id"][0].tolist() == together["item_id"][row].tolist()
    assert together["item_id"][2].tolist() == [b""] * 5
    assert together["score"][2].tolist() == [LOWEST] * 5
    none = {name: value[:0] for name, value in asked.items()}
    none |= {"query": np.array([], object), "user_id": np.array([], object)}
    assert _ask(shop, "search", **none)["item_id"].shape == (0, 0)


def test_small_bodies(shop):
    k = np.int32([5])
    found = _ask(shop, "search_text", query=["red mug"], user_id=["u"], k=k)
    pairs = [one.decode() for one in found["item_id"][0] if one]
    assert pairs == [item for item, _ in shop.search("red mug", 5, user_id="u")]
    found = _ask(shop, "search_vector", query_vector=np.float32([[1, 2]]), user_id=["u"], k=k)
    pairs = [one.decode() for one in found["item_id"][0] if one]
    assert pairs == [item for item, _ in shop.search(vector=[1, 2], k=5, user_id="u")]


def test_more_than_the_candidates_can_be_asked_for(shop):
    assert len(shop.search(vector=[1, 0], k=100)) == 5  # all but e (blocked) and g (no vector)
    assert len(shop.search("mug lamp", k=100)) == 4


def test_what_is_refused(shop, small, knn, tmp_path):
    with pytest.raises(InputError, match=r"vector must have 2 numbers. Received: 3"):
        shop.search(vector=[1, 2, 3])
    with pytest.raises(tf.errors.InvalidArgumentError, match="query_vector must have 2 numbers"):
        _ask(shop, "search_vector", query_vector=np.ones((1, 3), np.float32), user_id=[""], k=[1])
    for options, says in (
        ({"texts": ["nothing"]}, "no column 'nothing'"),
        ({"texts": ["price"]}, "column 'price' must hold text"),
        ({"vectors": "image"}, r"the catalogue has no 'image'. It has: \['text'\]"),
        ({"lexical_weight": 0}, "has nothing to rank by"),
        ({"k1": -1}, "search: k1: .* Received: -1"),
        ({"colour": 1}, "search: colour: Extra inputs are not permitted"),
        ("title", "search must be True, False or options"),
    ):
        with pytest.raises(InputError, match=says) as caught:
            export(knn, small, tmp_path / "shop", search=options, **OPTIONS)
        assert "\n" not in str(caught.value)
    assert not list(tmp_path.rglob("saved_model.pb"))


@pytest.mark.slow
def test_the_next_version_searches_too_and_one_without_says_so(small, knn, tmp_path):
    words = {"texts": ["title", "tags"], "user_weight": 0}
    first = Recommender(export(knn, small, tmp_path / "shop", search=words, **OPTIONS))
    # Tags are searched too, and nothing reads vectors.
    assert [item for item, _ in first.search("zebra")] == ["a"]
    assert "search_vector" not in first._loaded.signatures
    with pytest.raises(InputError, match="takes no 'query_vector'"):
        first.search(vector=[1, 2])
    again = Recommender(export(knn, small, tmp_path / "shop", **OPTIONS))
    assert again.card["kept"] == ["search"] and again.search("zebra") == first.search("zebra")
    assert SearchConfig(**again.card["search"]) == SearchConfig(**words)
    none = Recommender(export(knn, small, tmp_path / "shop", search=False, **OPTIONS))
    assert not {"search", "search_text", "search_vector"} & {*none._loaded.signatures}
    with pytest.raises(InputError, match="has no signature 'search'; export with search=True"):
        none.search("mug")
    by_title = Recommender(export(knn, small, tmp_path / "shop", search=True, **OPTIONS))
    assert [item for item, _ in by_title.search("zebra")] == []


def test_a_ranker_cannot_search(events, tmp_path):
    with pytest.raises(InputError, match="similar, audience and search are only for models that"):
        export(Ranker(events, dim=4, hidden=[4]), events, tmp_path / "shop", search=True, **OPTIONS)


def test_texts_are_encoded_in_the_graph(small, tmp_path):
    encoder = LexicalEncoder(dims=7, min_texts=1).fit(TITLES)
    encoder.save(tmp_path / "words")
    vectors = encoder.encode(TITLES)
    catalogue = Catalogue(small.catalogue.frame, {"words": vectors})
    rows = {"user_id": [*"uuv"], "item_id": [*"aca"]}
    events = Interactions.from_frame(pd.DataFrame(rows), catalogue)
    model = Popularity().fit(events)
    search = {"vectors": "words", "encoder": str(tmp_path / "words"), "lexical_weight": 0}
    shop = Recommender(export(model, events, tmp_path / "shop", search=search, **OPTIONS))
    for query in ("red mug", "chair", "green"):
        cosines = vectors @ encoder.encode([query])[0]
        for found in (
            shop.search(query, k=7),
            shop.search(vector=encoder.encode([query])[0], k=7),
        ):
            best = ["abcdefg".index(item) for item, _ in found]
            # Items of equal cosine may be in any order.
            assert sorted(best) == [*range(7)] and (np.diff(cosines[best]) <= 1e-6).all()
    assert shop.search("zebra") == []
    with pytest.raises(InputError, match="'ngrams' that is fitted at the export is none of the"):
        export(model, events, tmp_path / "other", search=search | {"encoder": "ngrams"}, **OPTIONS)
    wide = Catalogue(small.catalogue.frame, {"words": np.ones((7, 3))})
    events = Interactions.from_frame(pd.DataFrame(rows), wide)
    with pytest.raises(InputError, match="vectors of 7 dimensions, and vectors 'words' has 3"):
        export(Popularity().fit(events), events, tmp_path / "wide", search=search, **OPTIONS)


@pytest.mark.slow
def test_an_encoder_is_fitted_at_the_export(small, knn, tmp_path):
    search = {"encoder": "ngrams", "lexical_weight": 0, "user_weight": 0, "fusion": "scores"}
    shop = Recommender(export(knn, small, tmp_path / "shop", search=search, **OPTIONS))
    encoder = NGramEncoder().fit(TITLES)
    cosines = encoder.encode(TITLES) @ encoder.encode(["lammps"])[0]
    best = np.argsort(-cosines, kind="stable")[:3]
    expected = [("abcdefg"[row], pytest.approx(cosines[row], abs=1e-5)) for row in best]
    assert shop.search("lammps", 3) == expected and best[0] == 2
    assert shop.search("", 3) == [] and shop.search("zz qq", 3) == []
    assert "the texts' vectors (ngrams)" in " ".join(shop.card["semantics"])


@pytest.fixture(scope="module")
def towered(events, make_model, tmp_path_factory):
    """An export of a two-tower with a query tower, and the model."""
    model = SearchModel(make_model(events), events, vectors="text", hidden=3, reads_users=True)
    for weight in model.query_tower.weights:
        weight.assign_add(tf.random.stateless_normal(weight.shape, [3, 4]))
    folder = tmp_path_factory.mktemp("towered") / "shop"
    return model, export(model, events, folder, search={"user_weight": 0})


def _tower_scores(model, events, vectors, users):
    scorer = model.scorer(State.of(events))
    rows = events.users.rows(users)
    queries = model.query_vectors(vectors, scorer.user_vectors(rows), np.array(users) != "")
    text = events.catalogue.vectors["text"].values
    text = text / np.linalg.norm(text, axis=1, keepdims=True)
    return queries.numpy() @ np.concatenate([scorer.item_vectors.numpy(), text], 1).T


def test_the_query_tower_searches_with_the_user(towered, events):
    model, version = towered
    shop, ids = Recommender(version), events.catalogue.vocabulary.ids
    vectors = np.random.default_rng(0).normal(size=(4, 12)).astype(np.float32)
    users = ["ü 3", "", "ü 5", "nobody"]
    scores = _tower_scores(model, events, vectors, users)
    for user, vector, own in zip(users, vectors, scores, strict=True):
        found = shop.search(vector=vector, user_id=user or None, k=10)
        assert [item for item, _ in found] == ids[np.argsort(-own, kind="stable")[:10]].tolist()
    # It recommends as the two-tower does.
    best = np.argsort(-model.scorer(State.of(events))(events.users.rows(["ü 3"]))[0])
    had = set(events.histories().of(int(events.users.rows(["ü 3"])[0])))
    wanted = [ids[row] for row in best if row not in had][:5]
    assert [item for item, _ in shop.recommend("ü 3", k=5)] == wanted


CLEAN = Path(__file__).parents[1] / "fixtures" / "clean_process.py"


@pytest.mark.acceptance
def test_a_process_without_this_package_answers_the_same(towered, shop, tmp_path):
    _, version = towered
    vectors = np.random.default_rng(1).normal(size=(3, 12)).astype(np.float32)
    k, users = np.full(3, 6, np.int32), np.array(["ü 3", "", "nobody"], object)
    texts = np.array(["Thing № 7", "thinng", ""], object)
    both = {"query": texts, "query_vector": vectors, "user_id": users, "k": k}
    asked = [
        (str(version), "search", both),
        (str(version), "search_vector", {n: both[n] for n in ("query_vector", "user_id", "k")}),
        (str(shop.path), "search_text", {n: both[n] for n in ("query", "user_id", "k")}),
    ]
    (tmp_path / "requests").write_bytes(pickle.dumps(asked))
    command = [sys.executable, CLEAN, tmp_path / "requests", tmp_path / "answers"]
    subprocess.run(command, check=True, capture_output=True)
    answers = pickle.loads((tmp_path / "answers").read_bytes())
    for (folder, signature, inputs), answer in zip(asked, answers, strict=True):
        expected = tf.saved_model.load(folder).signatures[signature](
            **{name: tf.constant(value) for name, value in inputs.items()}
        )
        assert answer["item_id"].tolist() == expected["item_id"].numpy().tolist()
        np.testing.assert_allclose(answer["score"], expected["score"], atol=1e-5)


def test_the_warm_up_searches(towered):
    pytest.importorskip("tensorflow_serving", reason='needs ".[serving]"')
    from tfrec_fusion.deploy.warmup import iterate_warmup

    found = {}
    for signature, inputs in iterate_warmup(towered[1]):
        found.setdefault(signature, inputs)
    assert found["search_vector"]["query_vector"].shape == (1, 12)
    assert found["search_text"]["query"][0].decode() == "Thing №"


@pytest.mark.acceptance
def test_onnx_searches_by_vectors_alone(towered, tmp_path):
    pytest.importorskip("tf2onnx", reason='needs ".[onnx]"')
    onnxruntime = pytest.importorskip("onnxruntime", reason='needs ".[onnx]"')
    from tfrec_fusion.export import export_onnx

    _, version = towered
    left_out = export_onnx(version, tmp_path / "onnx")
    assert set(left_out) == {"search", "search_text"}
    session = onnxruntime.InferenceSession(tmp_path / "onnx" / "search_vector.onnx")
    vectors = np.random.default_rng(2).normal(size=(2, 12)).astype(np.float32)
    asked = {
        "query_vector": vectors,
        "user_id": np.array(["ü 3", ""], object),
        "k": np.int32([9, 9]),
    }
    ids, scores = session.run(["item_id", "score"], asked)
    function = tf.saved_model.load(str(version)).signatures["search_vector"]
    expected = function(**{name: tf.constant(value) for name, value in asked.items()})
    assert [[i.encode() for i in row] for row in ids] == expected["item_id"].numpy().tolist()
    np.testing.assert_allclose(scores, expected["score"], atol=1e-6)


@pytest.mark.acceptance
def test_requests_are_merged(towered):
    """In a session, which merges them, they are answered as alone."""
    pytest.importorskip("tensorflow_serving", reason='needs ".[serving]"')
    from concurrent.futures import ThreadPoolExecutor

    from tfrec_fusion.server.servable import Servable

    servable = Servable("shop", 1, towered[1])
    rng = np.random.default_rng(4)
    requests = []
    for row in range(24):
        dims = 12 if row % 3 else 0
        requests.append(
            {
                "query": np.array([b"thing 7" if row % 2 else b""] * (1 + row % 2), object),
                "query_vector": rng.normal(size=(1 + row % 2, dims)).astype(np.float32),
                "user_id": np.array(["ü 3".encode()] * (1 + row % 2), object),
                "k": np.full(1 + row % 2, 1 + row, np.int32),
            }
        )
    plain = Recommender(towered[1])
    with ThreadPoolExecutor(8) as pool:
        answers = [*pool.map(lambda one: servable.run("search", one), requests)]
    for request, answer in zip(requests, answers, strict=True):
        expected = _ask(plain, "search", **request)
        assert answer["item_id"].tolist() == expected["item_id"].tolist()
