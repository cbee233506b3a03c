import datetime
import logging
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tfrec_fusion.data import Catalogue, Interactions, Vocabulary
from tfrec_fusion.errors import InputError

SHOP = Catalogue(pd.DataFrame({"item_id": ["a", "b", "c"]}))


def frame(**columns):
    base = {"user_id": ["u", "v", "u"], "item_id": ["b", "a", "b"], "timestamp": [3, 1, 2]}
    return pd.DataFrame(base | columns)


def test_columns_are_encoded_once():
    events = Interactions.from_frame(frame(rating=[1, 2, 3], country=["x", "y", "z"]), SHOP)
    assert events.users.ids.tolist() == ["u", "v"]
    assert (events.user.tolist(), events.user.dtype) == ([0, 1, 0], np.int32)
    assert (events.item.tolist(), events.item.dtype) == ([1, 0, 1], np.int32)
    assert (events.timestamp.tolist(), events.timestamp.dtype) == ([3, 1, 2], np.float64)
    assert (events.rating.tolist(), events.rating.dtype) == ([1, 2, 3], np.float32)
    assert events.weight is None and events.label is None
    assert events.context.to_dict("list") == {"country": ["x", "y", "z"]}


def test_datetimes_become_unix_seconds():
    times = pd.to_datetime(
        ["1970-01-02 00:00:00.0", "1970-01-01 00:00:01.5", "1970-01-01 00:00:00.0"]
    )
    expected = [86400, 1.5, 0]
    assert Interactions.from_frame(frame(timestamp=times), SHOP).timestamp.tolist() == expected
    zoned = times.tz_localize("UTC").tz_convert("Asia/Tokyo")
    assert Interactions.from_frame(frame(timestamp=zoned), SHOP).timestamp.tolist() == expected


DAY = datetime.date(2024, 1, 2)  # 19,724 days after 1970-01-01
UTC = datetime.UTC


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        (["2024-01-02"] * 3, 19_724 * 86_400),
        (
            ["2024-01-02T01:00+01:00", "2024-01-02 00:00", "2024-01-02T00:00Z"],
            19_724 * 86_400,
        ),
        (pd.Categorical(["2024-01-02"] * 3), 19_724 * 86_400),
        ([DAY] * 3, 19_724 * 86_400),
        ([datetime.datetime(2024, 1, 2, tzinfo=UTC), DAY, np.datetime64(DAY)], 19_724 * 86_400),
        (pd.array([DAY] * 3, dtype=pd.ArrowDtype(pa.date32())), 19_724 * 86_400),
        (pd.Series([DAY] * 3, dtype="datetime64[s]"), 19_724 * 86_400),
        (pd.Series([DAY] * 3, dtype=pd.ArrowDtype(pa.timestamp("ns", "UTC"))), 19_724 * 86_400),
        # 2,932,896 days lie between 1970-01-01 and 9999-12-31, 719,162 between 0001-01-01 and it.
        ([datetime.date(9999, 12, 31)] * 3, 2_932_896 * 86_400),
        (["9999-12-31"] * 3, 2_932_896 * 86_400),
        ([datetime.date(1, 1, 1)] * 3, -719_162 * 86_400),
        (pd.Series([datetime.date(1, 1, 1)] * 3, dtype="datetime64[us]"), -719_162 * 86_400),
        ([Decimal("1.5")] * 3, 1.5),
        (np.array([7, 7, 7], np.uint64), 7),
        (pd.array([7, 7, 7], dtype="Int32"), 7),
    ],
)
def test_times_are_read_from_what_tables_have(times, expected):
    # The year 9999 is read, and kept where that is asked for.
    events = Interactions.from_frame(frame(timestamp=times), SHOP, stray_times="keep")
    assert events.timestamp.tolist() == [expected] * 3


def test_times_without_a_zone_are_said_to_be_utc(caplog):
    Interactions.from_frame(frame(timestamp=["2024-01-02T00:00Z"] * 3), SHOP)
    assert caplog.messages == []
    Interactions.from_frame(frame(timestamp=["2024-01-02"] * 3), SHOP)
    assert caplog.messages == [
        "interactions: times without a zone in column 'timestamp' are read as UTC"
    ]


@pytest.mark.parametrize(("unit", "size"), [("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)])
def test_the_unit_of_numbers_can_be_given(unit, size):
    times = [1_700_000_003 * size, 1_700_000_001 * size, 1_700_000_002 * size]
    events = Interactions.from_frame(frame(timestamp=times), SHOP, timestamp_unit=unit)
    assert events.timestamp.tolist() == [1_700_000_003, 1_700_000_001, 1_700_000_002]


def test_dates_of_a_file_are_times(tmp_path):
    table = pa.table({"user_id": ["u"], "item_id": ["a"], "timestamp": pa.array([DAY])})
    pq.write_table(table, tmp_path / "events.parquet")
    events = Interactions.from_parquet(tmp_path / "events.parquet", SHOP)
    assert events.timestamp.tolist() == [19_724 * 86_400]


@pytest.mark.parametrize("suffix", ["csv", "CSV", "parquet"])
def test_columns_can_have_other_names(tmp_path, suffix):
    table = frame(user_id=["007", "NA", "007"])
    names = {"user_id": "userId", "item_id": "movieId", "timestamp": "when"}
    table = table.rename(columns=names)
    path = tmp_path / f"events.{suffix}"
    table.to_parquet(path) if suffix == "parquet" else table.to_csv(path, index=False)
    events = Interactions.from_file(path, SHOP, columns=names)
    assert events.users.ids.tolist() == ["007", "NA"]
    assert events.timestamp.tolist() == [3, 1, 2]
    again = Interactions.from_frame(table, SHOP, columns=names)
    assert again.fingerprint() == events.fingerprint()


def test_what_float32_cannot_hold_is_missing():
    table = frame(rating=[1, 1e300, 3], weight=[np.inf, 1, 1])
    events = Interactions.from_frame(table, SHOP, nulls="drop")
    assert events.timestamp.tolist() == [2]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_files_read_as_frames(tmp_path, suffix):
    table = frame(user_id=["007", "NA", "007"])
    path = tmp_path / f"events.{suffix}"
    table.to_csv(path, index=False) if suffix == "csv" else table.to_parquet(path)
    events = getattr(Interactions, f"from_{suffix}")(path, SHOP)
    assert events.users.ids.tolist() == ["007", "NA"]
    assert events.item.tolist() == [1, 0, 1]


def test_repairs_are_made_when_asked_for_and_logged(caplog):
    table = pd.DataFrame(
        {
            "user_id": ["u", None, "u", "v", "", "w"],
            "item_id": ["b", "a", "x", "a", "a", "c"],
            "timestamp": [1e9, 1e9, 1e9, np.nan, 1e9, 1e9 + 5],
        }
    )
    with caplog.at_level(logging.WARNING):
        events = Interactions.from_frame(table, SHOP, nulls="drop", unknown_items="drop")
    # Rows 1, 3 and 4 lack a value; row 2 is of item x.
    assert events.users.ids.tolist() == ["u", "w"]
    assert events.timestamp.tolist() == [1e9, 1e9 + 5]
    assert [record.getMessage() for record in caplog.records] == [
        "interactions: dropped 3 events with missing values",
        "interactions: dropped 1 events of items that are not in the catalogue",
    ]


def test_repeated_pairs_without_times_can_keep_the_first():
    table = frame(rating=[1, 2, 3]).drop(columns="timestamp")
    events = Interactions.from_frame(table, SHOP, duplicates="first")
    assert events.rating.tolist() == [1, 2]


def test_min_rating_keeps_its_own_value():
    events = Interactions.from_frame(frame(rating=[3.5, 4, 4.5]), SHOP, min_rating=4)
    assert events.timestamp.tolist() == [1, 2]
    assert events.users.ids.tolist() == ["v", "u"]


def test_first_events_are_in_time_order_whatever_the_files():
    first = Interactions.from_frame(frame(), SHOP).first_events()
    # v took a at 1; u took b at 2 and again at 3.
    assert first.user.tolist() == [1, 0]
    assert first.item.tolist() == [0, 1]
    assert first.timestamp.tolist() == [1, 2]


def test_unknown_users_are_not_one_user():
    events = Interactions.from_frame(frame(user_id=["u", "v", "w"]), SHOP)
    unknown = events.encode_users(Vocabulary(["v"]))
    assert unknown.user.tolist() == [-1, 0, -1]
    assert len(unknown.first_events()) == 3


def test_matrix_holds_distinct_pairs_of_known_users():
    events = Interactions.from_frame(frame(), SHOP)
    matrix = events.matrix()
    assert matrix.dtype == np.float32
    assert matrix.toarray().tolist() == [[0, 1, 0], [1, 0, 0]]
    only_v = events.encode_users(Vocabulary(["v"])).matrix()
    assert only_v.toarray().tolist() == [[1, 0, 0]]


def test_select_takes_masks_and_indices():
    events = Interactions.from_frame(frame(), SHOP)
    assert events.select(np.array([True, False, True])).timestamp.tolist() == [3, 2]
    assert events.select(np.array([2, 0])).timestamp.tolist() == [2, 3]


def test_fingerprint_follows_the_events():
    one, two = (Interactions.from_frame(frame(timestamp=[3, 1, t]), SHOP) for t in (2, 4))
    assert one.fingerprint() == Interactions.from_frame(frame(), SHOP).fingerprint()
    assert one.fingerprint() != two.fingerprint()


def test_batches_choose_the_examples_by_the_columns():
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "user_id": np.repeat([f"u{i}" for i in range(20)], 10),
            "item_id": np.concatenate(
                [rng.permutation(list("abcdefghijkl"))[:10] for _ in range(20)]
            ),
            "timestamp": rng.integers(0, 400 * 86400, 200),
        }
    )
    shop = Catalogue(pd.DataFrame({"item_id": list("abcdefghijkl")}))
    events = Interactions.from_frame(table, shop)
    assert "item_features" in events.batches(8).element_spec
    untimed = Interactions.from_frame(table.drop(columns="timestamp"), shop)
    assert untimed.batches(8).element_spec["item_features"].shape[1] == 0
    assert events.batches(8, examples="pairs", history=3).element_spec["history"].shape[1] == 3


def test_ratings_on_a_scale_without_a_least_one_are_told(caplog):
    shop = Catalogue(pd.DataFrame({"item_id": list("abcdefgh")}))
    table = pd.DataFrame({"user_id": ["u"] * 8, "item_id": list("abcdefgh")})

    def read(ratings, **options):
        caplog.clear()
        with caplog.at_level("WARNING"):
            events = Interactions.from_frame(table.assign(rating=ratings), shop, **options)
        return len(events), caplog.text

    # Three quarters of .5 to 5 is 3.875; 4 is the next rating, and 3 of 8 have it.
    kept, said = read([0.5, 1, 2, 3, 3.5, 4, 4, 5])
    assert kept == 8
    assert "from 0.5 to 5, and every event counts as a positive" in said
    assert "min_rating=4 (on the command line --min-rating 4) keeps the 38 % with a good" in said
    assert "min_rating=0.5 keeps all" in said
    assert read([0.5, 1, 2, 3, 3.5, 4, 4, 5], min_rating=0.5) == (8, "")
    assert read([0.5, 1, 2, 3, 3.5, 4, 4, 5], min_rating=4) == (3, "")
    # What is the same everywhere is no scale.
    assert read([1.0] * 8) == (8, "")
    # Labels of 0 tell positives from others already.
    table = table.assign(label=[0, 1] * 4)
    assert read([0.5, 1, 2, 3, 3.5, 4, 4, 5]) == (8, "")
    table = table.assign(label=1)
    assert "min_rating=4" in read([0.5, 1, 2, 3, 3.5, 4, 4, 5])[1]
    table = table.drop(columns="label")
    assert "min_rating=1 (on" in read([0, 1, 1, 0, 1, 1, 1, 0])[1]


def _rated(**options):
    catalogue = Catalogue(pd.DataFrame({"item_id": ["a", "b", "c"]}))
    frame = pd.DataFrame(
        {
            "user_id": ["u", "u", "v", "v", "v"],
            "item_id": ["a", "b", "a", "b", "c"],
            "rating": [5.0, 1.0, 2.0, 4.0, 3.5],
        }
    )
    return Interactions.from_frame(frame, catalogue, min_rating=4, **options)


def test_low_ratings_become_dislikes():
    assert len(_rated()) == 2
    events = _rated(low_ratings="dislike")
    # u likes a and dislikes b; v likes b and dislikes a and c.
    np.testing.assert_array_equal(events.label, [1, 0, 0, 1, 0])
    np.testing.assert_array_equal(events.matrix().toarray(), [[1, 0, 0], [0, 1, 0]])
    np.testing.assert_array_equal(events.disliked().toarray(), [[0, 1, 0], [1, 0, 1]])
    assert not _rated().disliked().nnz
    with pytest.raises(InputError, match=r"low_ratings must be one of .*Received: 'keep'"):
        _rated(low_ratings="keep")
    catalogue = events.catalogue
    frame = pd.DataFrame({"user_id": ["u"], "item_id": ["a"], "rating": [5.0]})
    with pytest.raises(InputError, match="low_ratings needs min_rating"):
        Interactions.from_frame(frame, catalogue, low_ratings="dislike")


def test_an_item_disliked_and_then_liked_is_no_dislike():
    catalogue = Catalogue(pd.DataFrame({"item_id": ["a", "b"]}))
    frame = pd.DataFrame(
        {
            "user_id": ["u", "u", "u"],
            "item_id": ["a", "a", "b"],
            "timestamp": [1e9, 1.1e9, 1.2e9],
            "rating": [1.0, 5.0, 2.0],
        }
    )
    events = Interactions.from_frame(frame, catalogue, min_rating=4, low_ratings="dislike")
    np.testing.assert_array_equal(events.disliked().toarray(), [[0, 1]])
