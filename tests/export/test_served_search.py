"""How a search fuses its rankings, against loops over the same ranks."""

import numpy as np
import pandas as pd
import pytest

from tfrec_fusion._compat import tf
from tfrec_fusion.data import Catalogue
from tfrec_fusion.export import SearchConfig
from tfrec_fusion.export.search import Search
from tfrec_fusion.export.served_search import ServedSearch
from tfrec_fusion.models.serving.query_side import TowerQueries
from tfrec_fusion.models.serving.score_serving import ScoreServing
from tfrec_fusion.rerank.attributes import Attribute
from tfrec_fusion.rerank.filters import Filters
from tfrec_fusion.retrieval.bm25 import BM25

TITLES = ["red mug", "blue mug", "red lamp", "Blaue Lampe", "green café chair", "chair", "mug mug"]
VECTORS = np.float32([[1, 0], [1, 1], [0, 1], [-1, 1], [-1, 0], [2, 1], [0, 0]])  # the last: none
USERS = {"u": [0.5, 0.1, 0.9, 0.2, 0.3, 0.4, 0.6], "v": [7, 6, 5, 4, 3, 2, 1]}
UNKNOWN = [0, 0, 1, 2, 0, 0, 0]
BLOCKED = 4
SHOP = Catalogue(
    pd.DataFrame({"item_id": [*"abcdefg"], "title": TITLES, "price": np.arange(7.0)}),
    {"text": VECTORS},
)


class Scores(ScoreServing):
    """A model whose queries are the scores of the items."""

    def users(self, users, items, positions, ages, given=None, events=None):
        raise NotImplementedError


def _users(ids):
    rows = [[*map(float, USERS[name])] for name in USERS]
    found = tf.fill([tf.shape(ids)[0], 1], 0.0) + tf.constant([UNKNOWN], tf.float32)
    for name, row in zip(USERS, rows, strict=True):
        found = tf.where((ids == name)[:, None], tf.constant([row], tf.float32), found)
    return found


def _searcher(folder, serving=None, **options):
    """A function from query, vector, user, lowest price and k to pairs (row, score)."""
    serving = Scores(7) if serving is None else serving
    search = Search(SearchConfig(**options), serving, SHOP, folder)
    filters = Filters((Attribute.of(SHOP, "price"),), folder)
    blocked = tf.Variable(np.where(np.arange(7) == BLOCKED, -np.inf, 0).astype(np.float32))
    served = ServedSearch(search, serving, _users, filters, blocked)
    specs = {one.name: tf.TensorSpec(one.sizes, one.dtype, one.name) for one in served.inputs}
    function = tf.function(lambda inputs: served.best(inputs, inputs["k"][0]), [specs])

    def found(query="", vector=(), user="", price=np.nan, k=3):
        given = {
            "query": tf.constant([query]),
            "query_vector": tf.constant([vector], tf.float32, [1, len(vector)]),
            "user_id": tf.constant([user]),
            "k": tf.constant([k]),
            "price_min": tf.constant([price], tf.float32),
            "price_max": tf.constant([np.nan], tf.float32),
        }
        rows, scores = function({name: given[name] for name in specs})
        pairs = zip(rows.numpy()[0].tolist(), scores.numpy()[0].tolist(), strict=True)
        return [(row, score) for row, score in pairs if row >= 0]

    return found


def _ranks(scores, there, most=4):
    """Row -> rank of the best `most` items."""
    order = [row for row in np.argsort(-scores, kind="stable") if there[row]]
    return {int(row): rank for rank, row in enumerate(order[:most], 1)}


def _expected(query, vector, user, price, k, weights=(1.0, 1.0, 0.5)):
    allowed = np.arange(7) != BLOCKED
    allowed &= ~(np.arange(7) < price)
    gains = {}
    lists = []
    if len(vector) and any(vector):
        lengths = np.linalg.norm(VECTORS, axis=1)
        cosines = VECTORS @ np.asarray(vector) / np.maximum(lengths, 1e-9)
        lists.append((weights[1], _ranks(cosines, allowed & (lengths > 0))))
    if query:
        scores = BM25().fit(TITLES).scores([query])[0]
        lists.append((weights[0], _ranks(scores, allowed & (scores > 0))))
    for weight, ranks in lists:
        for row, rank in ranks.items():
            gains[row] = gains.get(row, 0.0) + weight / (10 + rank)
    if user:
        own = USERS.get(user, UNKNOWN)
        for rank, row in enumerate(sorted(gains, key=lambda row: (-own[row], row)), 1):
            gains[row] += weights[2] / (10 + rank)
    best = sorted(gains, key=lambda row: (-gains[row], row))[:k]
    return [(row, pytest.approx(gains[row], rel=1e-5)) for row in best]


def _expected_scores(query, vector, user, price, k, weights):
    """Sums of weighted scores, of the best 4 of each ranking."""
    allowed = (np.arange(7) != BLOCKED) & ~(np.arange(7) < price)
    part, total = set(), np.zeros(7)
    if len(vector) and any(vector):
        lengths = np.linalg.norm(VECTORS, axis=1)
        cosines = VECTORS @ np.asarray(vector) / np.linalg.norm(vector) / np.maximum(lengths, 1e-9)
        part |= {*_ranks(cosines, allowed & (lengths > 0))}
        total += weights[1] * cosines
    if query:
        scores = BM25().fit(TITLES).scores([query])[0]
        part |= {*_ranks(scores, allowed & (scores > 0))}
        total += weights[0] * scores
    if user:
        total += weights[2] * np.array(USERS.get(user, UNKNOWN))
    best = sorted(part, key=lambda row: (-total[row], row))[:k]
    return [(row, pytest.approx(total[row], rel=1e-4, abs=1e-6)) for row in best]


QUERIES = ("", "mug", "a red mugg", "blaue LAMPE", "zebra")


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    folder = tmp_path_factory.mktemp("searched")
    return _searcher(folder, vectors="text", candidates=4, rank_constant=10.0)


@pytest.mark.parametrize("query", QUERIES)
def test_words_vectors_and_users_are_fused(searched, query):
    for vector in ((), (1.0, 0.5), (-1.0, 3.0), (0.0, 0.0)):
        for user in ("", "u", "v", "a stranger"):
            for price in (np.nan, 2.0):
                found = searched(query, vector, user, price)
                assert found == _expected(query, vector, user, price, 3)


@pytest.fixture(scope="module")
def added(tmp_path_factory):
    folder = tmp_path_factory.mktemp("added")
    weights = {"lexical_weight": 0.7, "vector_weight": 2.0, "user_weight": 0.3}
    return _searcher(folder, vectors="text", candidates=4, fusion="scores", **weights)


@pytest.mark.parametrize("query", QUERIES)
def test_scores_are_added(added, query):
    for vector in ((), (1.0, 0.5), (-1.0, 3.0)):
        for user in ("", "u", "a stranger"):
            for price in (np.nan, 2.0):
                expected = _expected_scores(query, vector, user, price, 3, (0.7, 2.0, 0.3))
                assert added(query, vector, user, price, 3) == expected


def test_more_than_the_candidates_can_be_asked_for(searched):
    assert len(searched(vector=(1.0, 0.2), k=7)) == 5  # without e (blocked) and g (no vector)
    assert len(searched("mug lamp chair", k=7)) == 5
    assert searched("mug", k=0) == []


def test_wrong_vectors_are_refused_and_broken_ones_ignored(searched):
    with pytest.raises(tf.errors.InvalidArgumentError, match="query_vector must have 2 numbers"):
        searched(vector=(1.0, 2.0, 3.0))
    for none in ((np.nan,), (np.nan, 1.0), (np.inf, 1.0), (np.nan,) * 5):
        assert searched("mug", none) == searched("mug")


def test_weights_and_rankings_left_out(tmp_path):
    options = {"candidates": 4, "rank_constant": 10.0}
    words = _searcher(tmp_path, user_weight=0, lexical_weight=2.0, **options)
    assert words("red mug", user="u") == _expected("red mug", (), "", np.nan, 3, (2.0, 0, 0))
    vectors = _searcher(tmp_path, vectors="text", lexical_weight=0, user_weight=2.0, **options)
    found = vectors(vector=(1.0, 0.5), user="u")
    assert found == _expected("", (1.0, 0.5), "u", np.nan, 3, (0, 1.0, 2.0))


def test_a_tower_ranks_with_the_user(tmp_path):
    serving = Scores(7)

    def tower(vectors, users, known):
        # The item of the first number, and the user's taste where there is a user.
        asked = tf.one_hot(tf.cast(vectors[:, 0], tf.int32), 7)
        return asked + tf.where(known[:, None], users, 0.0)

    serving.query_side = TowerQueries(serving, tower, 1)
    options = {"lexical_weight": 0, "user_weight": 0, "rank_constant": 10.0}
    found = _searcher(tmp_path, serving, **options)
    assert [row for row, _ in found(vector=(5.0,))] == [5, 0, 1]
    assert [row for row, _ in found(vector=(5.0,), user="v")] == [0, 1, 2]
    assert [row for row, _ in found(vector=(5.0,), user="u")] == [5, 2, 6]
    assert found(vector=()) == []
