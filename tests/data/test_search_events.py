import numpy as np
import pandas as pd
import pytest

from tfrec_fusion.data import Catalogue, SearchEvents, Vocabulary
from tfrec_fusion.embeddings import VectorStore
from tfrec_fusion.errors import InputError

SHOP = Catalogue(pd.DataFrame({"item_id": [*"abcd"]}))
USERS = Vocabulary(["u", "v"])
FRAME = pd.DataFrame(
    {
        "query": ["red mug", "lamp", "red mug", "blue"],
        "item_id": ["b", "a", "d", "b"],
        "user_id": ["v", None, "new", "u"],
        "timestamp": ["2024-01-02", "2024-01-01", "2024-01-03", "2024-01-04"],
    }
)


def test_rows(tmp_path):
    FRAME.to_parquet(tmp_path / "searches.parquet")
    for found in (
        SearchEvents.from_frame(FRAME, SHOP, users=USERS),
        SearchEvents.from_parquet(tmp_path / "searches.parquet", SHOP, users=USERS),
    ):
        assert found.item.tolist() == [1, 0, 3, 1] and found.user.tolist() == [1, -1, -1, 0]
        assert found.query.tolist() == FRAME["query"].tolist() and found.vectors is None
        assert np.diff(found.timestamp).tolist() == [-86400, 2 * 86400, 86400]
    plain = SearchEvents.from_frame(FRAME[["query", "item_id"]], SHOP)
    assert plain.timestamp is None and plain.users is None and (plain.user == -1).all()


def test_vectors_by_id_and_by_place():
    vectors = np.arange(8.0).reshape(4, 2)
    found = SearchEvents.from_frame(FRAME, SHOP, vectors=vectors)
    assert found.vectors.tolist() == vectors.tolist()
    assert found.select(np.array([2, 0])).vectors.tolist() == [[4, 5], [0, 1]]
    # A query without a known word has the vector 0.
    vectors[1] = 0
    assert SearchEvents.from_frame(FRAME, SHOP, vectors=vectors).vectors[1].tolist() == [0, 0]
    store = VectorStore(["q2", "q1"], np.eye(2))
    frame = FRAME.assign(query_id=["q1", "q2", "q1", "q2"])
    found = SearchEvents.from_frame(frame, SHOP, vectors=store)
    assert found.vectors.tolist() == [[0, 1], [1, 0], [0, 1], [1, 0]]
    frame["query_id"] = ["q1", "q9", "q1", "q2"]
    with pytest.raises(InputError, match="1 of 4 queries have none, first 'lamp'"):
        SearchEvents.from_frame(frame, SHOP, vectors=store)
    with pytest.raises(InputError, match="vectors"):
        found.with_vectors(np.ones((3, 2)))


def test_a_split_shares_no_item():
    frame = pd.DataFrame({"query": [*"qrstuv"], "item_id": [*"abcdab"]})
    found = SearchEvents.from_frame(frame, SHOP)
    train, test = found.split(0.5, seed=1)
    assert len(train) + len(test) == 6 and len(train) and len(test)
    assert not {*train.item} & {*test.item} and len({*test.item}) == 2
    again = found.split(0.5, seed=1)[1]
    assert again.query.tolist() == test.query.tolist()
    with pytest.raises(InputError, match="leaves one part empty"):
        found.split(0.01)
    with pytest.raises(InputError, match="share between 0 and 1"):
        found.split(1.0)


@pytest.mark.parametrize(
    ("change", "options", "says"),
    [
        ({"query": ["x", " ", "y", "z"]}, {}, "column 'query' has 1 empty queries, first at row 1"),
        ({"query": [1, 2, 3, 4]}, {}, "column 'query' must hold text"),
        ({"item_id": ["a", "e", "f", "a"]}, {}, r"has 2 of 4 items that are not .* \['e', 'f'\]"),
        ({"item_id": ["a", None, "b", "a"]}, {}, "column 'item_id' has 1 null values"),
        ({"user_id": [1, 2, 3, 4]}, {"users": USERS}, "column 'user_id' must hold strings"),
        (
            {"timestamp": ["2024-01-01", None, "2024-01-01", "2024-01-01"]},
            {},
            "'timestamp' has 1 m",
        ),
        ({}, {"unknown_items": "keep"}, "must be 'error' or 'drop'. Received: 'keep'"),
        ({}, {"columns": {"query": "text"}}, "there is no column 'text'"),
        ({}, {"users": ["u"]}, r"users must be a Vocabulary.*Received: list"),
        ({}, {"vectors": np.ones((3, 2))}, "3"),
    ],
)
def test_what_is_refused(change, options, says):
    with pytest.raises(InputError, match=says) as caught:
        SearchEvents.from_frame(FRAME.assign(**change), SHOP, **options)
    assert "\n" not in str(caught.value)


def test_unknown_items_can_be_dropped():
    frame = FRAME.assign(item_id=["a", "e", "b", "f"])
    found = SearchEvents.from_frame(frame, SHOP, users=USERS, unknown_items="drop")
    assert found.query.tolist() == ["red mug", "red mug"] and found.user.tolist() == [1, -1]
    with pytest.raises(InputError, match="4 of 4 items"):
        SearchEvents.from_frame(FRAME.assign(item_id="z"), SHOP, unknown_items="drop")
