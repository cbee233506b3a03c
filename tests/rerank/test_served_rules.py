"""Random rules over random catalogues, without an export."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrec_fusion._compat import tf
from tfrec_fusion.data import Catalogue
from tfrec_fusion.errors import InputError
from tfrec_fusion.rerank.compiled_rules import CompiledRules
from tfrec_fusion.rerank.ranking import Ranking
from tfrec_fusion.rerank.restriction import Restriction
from tfrec_fusion.rerank.rules import Rules
from tfrec_fusion.rerank.served_rules import ServedRules
from tfrec_fusion.retrieval.stored_items import StoredItems

LOWEST = np.finfo(np.float32).min


def _rules(ids):
    item = st.sampled_from(ids)
    value = st.sampled_from(["p", "q", "r"])
    column = st.sampled_from(["first", "second"])
    match = st.dictionaries(column, value, min_size=1)
    target = st.one_of(
        st.fixed_dictionaries({"item": item}), st.fixed_dictionaries({"match": match})
    )
    boost = st.tuples(target, st.sampled_from([0.1, 3.0, 50.0]))
    pin = st.fixed_dictionaries({"item": item, "position": st.integers(1, 12)})
    cap = st.fixed_dictionaries({"by": column, "at_most": st.integers(1, 3)})
    return st.fixed_dictionaries(
        {},
        optional={
            "boost": st.lists(boost.map(lambda b: {**b[0], "factor": b[1]}), max_size=3),
            "block": st.lists(target, max_size=2),
            "pin": st.lists(
                pin, max_size=4, unique_by=(lambda p: p["item"], lambda p: p["position"])
            ),
            "cap": st.lists(cap, max_size=2),
        },
    )


def _dense(mask):
    """A restriction that is a matrix `[B, N]`."""
    allowed = tf.constant(mask)
    return Restriction(
        tf.reduce_any(~allowed),
        lambda: allowed,
        lambda rows: tf.gather(allowed, rows, batch_dims=1),
    )


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_random_rules_answer_as_a_greedy_walk(business, data):
    n = data.draw(st.sampled_from([1, 6, 40, 200]))
    batch, k = data.draw(st.integers(0, 3)), data.draw(st.sampled_from([0, 1, 2, 7, 30]))
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    ids = [f"i{row}" for row in range(n)]
    frame = pd.DataFrame(
        {
            "item_id": ids,
            "first": rng.choice(["p", "q", "r", ""], n),
            "second": rng.choice(["p", "q", "r", "s", None], n, p=[0.7, 0.1, 0.1, 0.05, 0.05]),
        }
    )
    rules = data.draw(_rules(ids))
    reference = business.BusinessReference(SimpleNamespace(item_ids=ids), frame, (), rules)
    try:
        compiled = CompiledRules.of(Rules.of(rules), Catalogue(frame))
    except InputError as error:
        assert "pinned items share a value" in str(error)
        return
    served = ServedRules(compiled)

    vectors = rng.normal(size=(n, 4)).astype(np.float32)
    users = rng.normal(size=(batch, 4)).astype(np.float32)
    masked = rng.integers(-1, n, (batch, data.draw(st.sampled_from([0, 5, 60]))))
    included = rng.integers(-1, n, (batch, 50))
    given_list = rng.random(batch) < data.draw(st.sampled_from([0.0, 0.5, 1.0]))
    passing = rng.random((batch, n)) < data.draw(st.sampled_from([0.2, 1.0]))
    ranking = Ranking(
        StoredItems(vectors),
        tf.constant(users),
        tf.constant(masked, tf.int32),
        tf.constant(np.where(given_list[:, None], included, -1), tf.int32),
        tf.constant(given_list),
        [_dense(passing)],
        served.bias,
    )
    scores, rows = (value.numpy() for value in served.best(ranking, tf.constant(k)))
    assert scores.shape == rows.shape == (batch, k)
    for one in range(batch):
        own = {
            item: score + reference.boost(row)
            for row, (item, score) in enumerate(zip(ids, vectors @ users[one], strict=True))
        }
        allowed = [
            item
            for row, item in enumerate(ids)
            if passing[one, row]
            and row not in masked[one]
            and (not given_list[one] or row in included[one])
            and not reference.blocked(row)
        ]
        expected = reference.greedy(allowed, own)[:k]
        assert [ids[row] for row in rows[one] if row >= 0] == expected
        left = len(expected)
        np.testing.assert_allclose(
            scores[one, :left], [own[item] for item in expected], rtol=1e-5, atol=1e-5
        )
        assert (scores[one, left:] == LOWEST).all() and (rows[one, left:] == -1).all()


def _ranking(scores, bias=None):
    """Of one request that is free to get anything."""
    nothing = tf.zeros([1, 0], tf.int32)
    vectors = np.array(scores, np.float32)[:, None]
    return Ranking(
        StoredItems(vectors), tf.ones([1, 1]), nothing, nothing, tf.constant([False]), (), bias
    )


def test_a_cap_is_filled_by_looking_further():
    """The best 100 have one brand of which 2 may come, then come 100 of the next, and so on.

    Each tenth item has no brand and is not capped.
    """
    n = 1000
    brands = [None if i % 10 == 0 else str(i // 100) for i in range(n)]
    frame = pd.DataFrame({"item_id": [f"i{i}" for i in range(n)], "brand": brands})
    rules = Rules.of({"cap": [{"by": "brand", "at_most": 2}]})
    served = ServedRules(CompiledRules.of(rules, Catalogue(frame)))
    expected = [i for i in range(n) if i % 10 == 0 or i % 100 in (1, 2)]
    for k in (7, 30, 130):
        rows = served.best(_ranking(range(n, 0, -1)), tf.constant(k))[1].numpy()[0].tolist()
        assert rows == (expected + [-1] * k)[:k]


def test_pins_count_towards_caps_wherever_they_stand_and_have_their_boosts():
    # Scores 5, 4, 3, 2, 1 and i3's own log(e) = 1 more. Of brand x only i3 may come, even to k 2.
    frame = pd.DataFrame(
        {"item_id": ["i0", "i1", "i2", "i3", "i4"], "brand": ["x", "y", "x", "x", "z"]}
    )
    rules = {
        "pin": [{"item": "i3", "position": 3}],
        "cap": [{"by": "brand", "at_most": 1}],
        "boost": [{"item": "i3", "factor": float(np.e)}],
    }
    served = ServedRules(CompiledRules.of(Rules.of(rules), Catalogue(frame)))
    for k in (2, 4):
        scores, rows = served.best(_ranking([5, 4, 3, 2, 1], served.bias), tf.constant(k))
        assert rows.numpy().tolist() == [[1, 4, 3, -1][:k]]
        np.testing.assert_allclose(scores[0], [4.0, 1.0, 3.0, LOWEST][:k], rtol=1e-6)


@pytest.mark.parametrize("k", [1, 3, 6])
def test_pins_move_up_where_the_rest_ends(k):
    # Scores 4, 3, 2, 1; i0 is pinned to place 2, i1 to 9 and i2 to 5: i3, i0, then i2 and i1.
    frame = pd.DataFrame({"item_id": ["i0", "i1", "i2", "i3"]})
    pins = [{"item": f"i{row}", "position": place} for row, place in enumerate((2, 9, 5))]
    served = ServedRules(CompiledRules.of(Rules.of({"pin": pins}), Catalogue(frame)))
    scores, rows = served.best(_ranking([4, 3, 2, 1], served.bias), tf.constant(k))
    assert rows.numpy().tolist() == [[3, 0, 2, 1, -1, -1][:k]]
    assert scores.numpy().tolist() == [[1.0, 4.0, 2.0, 3.0, LOWEST, LOWEST][:k]]
