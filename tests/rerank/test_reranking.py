"""Rerankers over a ranking, without an export."""

import numpy as np
import pandas as pd
import pytest

from tfrec_fusion._compat import tf
from tfrec_fusion.data import Catalogue
from tfrec_fusion.errors import InputError
from tfrec_fusion.rerank.compiled_rules import CompiledRules
from tfrec_fusion.rerank.ranking import Ranking
from tfrec_fusion.rerank.reranker import Reranker
from tfrec_fusion.rerank.reranking import Reranking, described, rerankers_of
from tfrec_fusion.rerank.rules import Rules
from tfrec_fusion.rerank.served_rules import ServedRules
from tfrec_fusion.retrieval.stored_items import StoredItems

LOWEST = np.finfo(np.float32).min


class Backwards(Reranker):
    """The worst of three first, with new scores."""

    candidates = 3

    def __call__(self, rows, scores, request):
        return rows[:, ::-1], -scores[:, ::-1]


class Twice(Reranker):
    """Every item twice, and items 0 to 5 behind them, whether they may come or not."""

    candidates = 1

    def __call__(self, rows, scores, request):
        more = tf.tile([[0, 1, 2, 3, 4, 5]], [tf.shape(rows)[0], 1])
        rows = tf.concat([tf.repeat(rows, 2, 1), more], 1)
        return rows, tf.zeros_like(rows)  # an integer, which becomes float32


class OfTheRequest(Reranker):
    """Only the scores change, by an input of the request."""

    def __call__(self, rows, scores, request):
        return rows, scores + request["more"][:, None]


class Unsure(Reranker):
    """Scores that are no numbers, and rows behind the catalogue."""

    def __call__(self, rows, scores, request):
        return tf.concat([rows, [[6, 99]]], 1), tf.concat([scores, [[1.0, 1.0]]], 1) * np.nan


class ThreeRows(Reranker):
    def __call__(self, rows, scores, request):
        return rows[:, :3], scores


class Returning(Reranker):
    def __init__(self, value):
        self.value = value

    def __call__(self, rows, scores, request):
        return self.value


def _ranking(masked=(), bias=None):
    """Of one request; items 0 to 5 score 6, 5, 4, 3, 2 and 1."""
    nothing = tf.zeros([1, 0], tf.int32)
    vectors = np.arange(6, 0, -1, dtype=np.float32)[:, None]
    masked = tf.constant([masked], tf.int32, [1, len(masked)])
    return Ranking(
        StoredItems(vectors),
        tf.ones([1, 1]),
        masked,
        nothing,
        tf.constant([False]),
        (),
        bias,
    )


def _best(rerankers, k, ranking, request=None):
    reranking = Reranking(rerankers)
    scores, rows = reranking.best(ranking, request or {}, ranking.best, tf.constant(k))
    return rows.numpy()[0].tolist(), scores.numpy()[0].tolist()


def test_as_many_candidates_as_are_wanted_or_k():
    # The three best are 0, 1 and 2, whatever k is; beyond that the k best.
    assert _best([Backwards()], 2, _ranking()) == ([2, 1], [-4.0, -5.0])
    assert _best([Backwards()], 4, _ranking()) == ([3, 2, 1, 0], [-3.0, -4.0, -5.0, -6.0])
    # No more than there are.
    rows, scores = _best([Backwards()], 8, _ranking())
    assert rows == [5, 4, 3, 2, 1, 0, -1, -1] and scores[6:] == [LOWEST, LOWEST]


def test_one_after_the_other():
    assert _best([Backwards(), Backwards()], 2, _ranking()) == ([0, 1], [6.0, 5.0])
    request = {"more": tf.constant([0.5])}
    assert _best([Backwards(), OfTheRequest()], 1, _ranking(), request) == ([5], [-0.5])


def test_what_may_not_come_back_and_what_is_there_already_is_dropped():
    # 1 is masked and 3 blocked; 0 is first of the candidates and comes once.
    bias = tf.Variable([0, 0, 0, -np.inf, 0, 0], dtype=tf.float32)
    rows, scores = _best([Twice()], 6, _ranking([1, -1], bias))
    assert rows == [0, 2, 4, 5, -1, -1]
    assert scores == [0, 0, 0, 0, LOWEST, LOWEST]


def test_scores_that_are_no_numbers_and_rows_behind_the_catalogue():
    rows, scores = _best([Unsure()], 7, _ranking())
    # The items keep their places, with the lowest score that an item can have.
    assert rows == [0, 1, 2, 3, 4, 5, -1]
    assert scores[:6] == [float(np.nextafter(LOWEST, np.float32(0)))] * 6 and scores[6] == LOWEST


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (tf.zeros([1, 3], tf.int32), "must return rows and scores. Received: EagerTensor"),
        ((tf.zeros([1, 3]), tf.zeros([1, 6])), r"\[B, M\] of one shape. Received: \(1, 3\)"),
        ((tf.zeros([3]), tf.zeros([3])), r"\[B, M\] of one shape. Received: \(3,\)"),
    ],
)
def test_rerankers_that_return_something_else(value, says):
    with pytest.raises(InputError, match=f"rerank: Returning {says}|rerank: Returning .*{says}"):
        _best([Returning(value)], 2, _ranking())


def test_in_a_graph_rows_without_scores_are_refused_when_it_runs():
    @tf.function
    def best(k):
        return Reranking([ThreeRows()]).best(ranking, {}, ranking.best, k)

    ranking = _ranking()
    with pytest.raises(tf.errors.InvalidArgumentError, match="ThreeRows must return rows and sc"):
        best(tf.constant(4))


def test_before_pins_and_after_caps():
    catalogue = Catalogue(
        pd.DataFrame({"item_id": [*"abcdef"], "brand": ["x", "x", "x", "y", "y", "z"]})
    )
    rules = {"cap": [{"by": "brand", "at_most": 1}], "pin": [{"item": "f", "position": 2}]}
    served = ServedRules(CompiledRules.of(Rules.of(rules), catalogue))
    ranking = _ranking(bias=served.bias)
    reranking = Reranking([Backwards()])

    def reranked(listed, k):
        return reranking.best(ranking, {}, listed, k)

    # The cap leaves a of x and d of y, backwards d and a; f stands at its position.
    scores, rows = served.best(ranking, tf.constant(3), reranked)
    assert rows.numpy().tolist() == [[3, 5, 0]]
    assert scores.numpy().tolist() == [[-3.0, 1.0, -6.0]]


def test_of_names_mappings_and_objects():
    name = f"{__name__}:Backwards"
    one = OfTheRequest()
    found = rerankers_of([name, {"kind": name}, one])
    assert [type(each).__name__ for each in found] == ["Backwards", "Backwards", "OfTheRequest"]
    assert described([name, {"kind": name}, one]) == [
        name,
        {"kind": name},
        {"object": f"{__name__}:OfTheRequest"},
    ]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("mine:Class", "must be a list of rerankers"),
        (["cheap"], "must be module:name of your own"),
        (["tests_have_none:Class"], "cannot be imported"),
        ([{"kind": f"{__name__}:Backwards", "weight": 1}], "cannot be created"),
        ([Backwards], "must hold Reranker objects"),
        ([3], "must hold Reranker objects"),
    ],
)
def test_wrong_rerankers(given, says):
    with pytest.raises(InputError, match=says):
        rerankers_of(given)
