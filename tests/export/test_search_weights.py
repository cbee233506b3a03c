"""How the weights of a search are chosen."""

import numpy as np
import pandas as pd
import pytest

from tfrec_fusion.data import Catalogue, Interactions, SearchEvents
from tfrec_fusion.errors import InputError
from tfrec_fusion.export import Recommender, SearchConfig, choose_search_weights, export
from tfrec_fusion.export.search_weights import _best_weights, _Judged, _mrr
from tfrec_fusion.models.classic import ItemKNN

SHARES = {
    "lexical": np.float32([[3, 2, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]]),
    "vector": np.float32([[0, 5, 9, 0], [0, 1, 2, 0], [0, 0, 0, 0]]),
}
THERE = np.array([[True] * 3 + [False], [True] * 3 + [False], [False] * 4])
RIGHT = np.array([[False, True, False, False], [True] + [False] * 3, [False] * 4])
JUDGED = _Judged(THERE, RIGHT, {"scores": SHARES})


def test_mrr_by_hand():
    shares = [*SHARES.values()]
    # Words alone: the second of three; the first of two equals, as its place is lower; none.
    assert _mrr(JUDGED, shares, (1, 0), 10) == pytest.approx((1 / 2 + 1 + 0) / 3)
    # Vectors alone: the second; the last of three, 0 beyond rank 2.
    assert _mrr(JUDGED, shares, (0, 1), 10) == pytest.approx((1 / 2 + 1 / 3) / 3)
    assert _mrr(JUDGED, shares, (0, 1), 2) == pytest.approx(1 / 2 / 3)
    # Totals 3, 4.5, 4.5 x .9 = 3, 3.5, 2.7 with (1, .3): first; 1, 1.3, .6: second.
    assert _mrr(JUDGED, shares, (1, 0.3), 10) == pytest.approx((1 + 1 / 2) / 3)


def test_a_ranking_that_tells_nothing_apart_leaves_the_others_their_weights():
    shares = {"lexical": np.zeros((1, 3)), "vector": np.array([[0.1, 0.2, 0.9]])}
    there, right = np.ones((1, 3), bool), np.array([[False, False, True]])
    mrr, weights = _best_weights(_Judged(there, right, {"scores": shares}), "scores", 10)
    assert mrr == 1.0
    assert weights["lexical"] == 0 and weights["vector"] > 0


def test_the_best_weights_of_the_grid():
    # The wanted items come first at weights w of the vectors with 2 + 5 w > 3, and 1 > 1 + w:
    # never both. (1 + 1/2) / 3 = .5 equals words alone, the first of the grid.
    mrr, weights = _best_weights(JUDGED, "scores", 10)
    assert mrr == pytest.approx(0.5) and weights == {"lexical": 1.0, "vector": 0.0}
    first = _Judged(THERE[:1], RIGHT[:1], {"scores": {n: v[:1] for n, v in SHARES.items()}})
    mrr, weights = _best_weights(first, "scores", 10)
    # 2 + 5 w > 3 and 2 + 5 w > 9 w: w from .2 to .5.
    assert mrr == 1 and 0.2 < weights["vector"] < 0.5


@pytest.fixture(scope="module")
def shop():
    """Twenty red mugs that words cannot tell apart, of which each user buys the next."""
    rows = [(f"u{user}", f"i{user + step}") for user in range(15) for step in range(4)]
    titles = [*["red mug"] * 20, "blue mug", "red lamp"]
    ids = [f"i{item}" for item in range(22)]
    catalogue = Catalogue(pd.DataFrame({"item_id": ids, "title": titles}))
    frame = pd.DataFrame(rows, columns=["user_id", "item_id"])
    return Interactions.from_frame(frame, catalogue)


def _searches(shop, users):
    frame = pd.DataFrame({"query": "red mug", "item_id": [f"i{user + 4}" for user in range(15)]})
    frame["user_id"] = [f"u{user}" for user in range(15)]
    return SearchEvents.from_frame(frame, shop.catalogue, users=shop.users if users else None)


@pytest.mark.slow
def test_users_count_where_words_do_not_tell_items_apart(shop, tmp_path):
    model = ItemKNN(k=5).fit(shop)
    alone = choose_search_weights(model, shop, _searches(shop, False))
    assert alone.user_weight == 0
    chosen = choose_search_weights(model, shop, _searches(shop, True), {"k1": 1.0})
    assert chosen.user_weight > 0 and chosen.k1 == 1.0 and chosen.vector_weight == 0
    ranks = {}
    for name, config in (("alone", alone), ("chosen", chosen)):
        options = {"search": config, "deployment": False}
        version = Recommender(export(model, shop, tmp_path / name, **options))
        ranks[name] = [
            [item for item, _ in version.search("red mug", 20, user_id=f"u{user}")].index(
                f"i{user + 4}"
            )
            for user in range(15)
        ]
    assert np.mean(ranks["chosen"]) < np.mean(ranks["alone"])


def test_what_is_refused(shop):
    model = ItemKNN(k=5).fit(shop)
    searches = _searches(shop, True)
    with pytest.raises(InputError, match=r"to choose by. Received: .* 0"):
        choose_search_weights(model, shop, searches.select(np.arange(0)))
    with pytest.raises(InputError, match="needs a search and searches"):
        choose_search_weights(model, shop, searches, False)
    with pytest.raises(InputError, match=r"searches must be SearchEvents. Received: list"):
        choose_search_weights(model, shop, ["mug"])
    for k in (0, -1, 2.5, True):
        with pytest.raises(InputError, match=rf"k must be a positive integer. Received: {k}"):
            choose_search_weights(model, shop, searches, k=k)
    other = Catalogue(pd.DataFrame({"item_id": ["i0"], "title": ["mug"]}))
    frame = pd.DataFrame({"query": ["mug"], "item_id": ["i0"]})
    with pytest.raises(InputError, match="must have the same items"):
        choose_search_weights(model, shop, SearchEvents.from_frame(frame, other))
    catalogue = Catalogue(shop.catalogue.frame, {"text": np.eye(22, dtype=np.float32)})
    frame = pd.DataFrame({"user_id": ["a"], "item_id": ["i0"]})
    events = Interactions.from_frame(frame, catalogue)
    searches = SearchEvents.from_frame(pd.DataFrame({"query": ["x"], "item_id": ["i0"]}), catalogue)
    config = SearchConfig(vectors="text")
    with pytest.raises(InputError, match="the searches have no vectors, which the export ranks by"):
        choose_search_weights(ItemKNN(k=5).fit(events), events, searches, config)
