import numpy as np
import pandas as pd
import pytest

from tfrec_fusion.data import Catalogue, Interactions, UserTable
from tfrec_fusion.embeddings import VectorStore
from tfrec_fusion.errors import InputError

USERS = pd.DataFrame({"user_id": ["c", "a"], "age": [30, 20], "likes": ["x|y", ""]})


def test_rows_follow_the_ids_asked_for():
    table = UserTable(USERS, lists={"likes": "|"})
    found = table.rows_of(["a", "new", "c"])
    assert found["age"].tolist()[::2] == [20, 30]
    assert pd.isna(found["age"][1])
    assert found["likes"][2] == ["x", "y"]


def test_large_whole_numbers_and_booleans_stay_where_others_are_missing():
    big = 2**53 + 1
    frame = pd.DataFrame({"user_id": ["a", "b"], "n": [big, 3], "yes": [True, False]})
    found = UserTable(frame).rows_of(["a", "new"])
    assert found["n"][0] == big and found["yes"][0]
    assert pd.isna(found["n"][1]) and pd.isna(found["yes"][1])


def test_vectors_follow_the_ids_asked_for(tmp_path):
    store = VectorStore(["a", "x", "c"], [[1.0, 2.0], [9.0, 9.0], [3.0, 4.0]])
    USERS.to_csv(tmp_path / "users.csv", index=False)
    frame = pd.concat([USERS, USERS[:1].assign(user_id="no vector")])
    for table in (
        UserTable(frame, {"taste": store}),
        UserTable.from_file(tmp_path / "users.csv", {"taste": np.array([[3.0, 4], [1, 2]])}),
    ):
        assert table.columns == ["user_id", "age", "likes", "taste"]
        found = table.rows_of(["a", "new", "no vector", "c"])["taste"]
        assert [None if one is None else one.tolist() for one in found] == [
            [1, 2], None, None, [3, 4],
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (np.eye(2), "users: vectors must name each store"),
        ({"age": np.eye(2)}, "users: vectors: the table has a column 'age' too"),
        ({"taste": np.eye(3)}, "3"),
        ({"taste": [[np.nan], [1.0]]}, "NaN|finite"),
        ({"taste": VectorStore(["x"], [[1.0]])}, "ids"),
    ],
)
def test_bad_vectors_are_refused(vectors, message):
    with pytest.raises(InputError, match=message) as refused:
        UserTable(USERS, vectors)
    assert "\n" not in str(refused.value)


def test_it_stays_with_the_events(tmp_path):
    catalogue = Catalogue(pd.DataFrame({"item_id": ["i", "j"]}))
    frame = pd.DataFrame({"user_id": list("aabb"), "item_id": list("ijij"), "timestamp": range(4)})
    USERS.to_parquet(tmp_path / "users.parquet")
    for users in (USERS, UserTable(USERS), tmp_path / "users.parquet"):
        events = Interactions.from_frame(frame, catalogue, users=users, stray_times="keep")
        train = events.split("temporal", test=0.3).train
        assert train.user_table is events.user_table
        assert train.first_events().user_table.rows_of(train.users.ids)["age"].tolist()[0] == 20
    assert Interactions.from_frame(frame, catalogue, stray_times="keep").user_table is None


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (USERS.drop(columns="user_id"), "users: missing column 'user_id'"),
        (pd.concat([USERS, USERS]), "users: column 'user_id' has 2 repeated ids, first"),
        (USERS.assign(user_id=[1, 2]), "users: column 'user_id' must hold strings"),
        (USERS.assign(age=[np.inf, 1]), "users: column 'age' has 1 infinite values"),
        (USERS[:0], "users: the table has no rows"),
    ],
)
def test_bad_tables_are_refused(frame, message):
    with pytest.raises(InputError, match=message):
        UserTable(frame)


def test_users_that_are_no_table():
    catalogue = Catalogue(pd.DataFrame({"item_id": ["i"]}))
    frame = pd.DataFrame({"user_id": ["a"], "item_id": ["i"]})
    with pytest.raises(InputError, match="users must be a UserTable, a DataFrame or a path"):
        Interactions.from_frame(frame, catalogue, users=[1])
