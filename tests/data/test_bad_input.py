import numpy as np
import pandas as pd
import pytest

from tfrec_fusion.data import Catalogue, Interactions, Vocabulary
from tfrec_fusion.errors import InputError
from tfrec_fusion.examples import BlockWindow, ParquetWindow, pair_examples


def items(**columns):
    return pd.DataFrame({"item_id": ["a", "b", "c"]} | columns)


def events(**columns):
    frame = {"user_id": ["u", "u", "v"], "item_id": ["a", "b", "a"], "timestamp": [1.0, 2.0, 3.0]}
    return pd.DataFrame(
        {name: values for name, values in (frame | columns).items() if values is not None}
    )


def read(**columns):
    return Interactions.from_frame(events(**columns), Catalogue(items()))


def read_with(columns=None, timestamp_unit=None, **more):
    options = {"columns": columns, "timestamp_unit": timestamp_unit}
    return Interactions.from_frame(events(**more), Catalogue(items()), **options)


def objects(*values):
    return pd.Series(np.array(values, object), dtype=object)


def write(path, text):
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def parquet(folder, *tables):
    for number, columns in enumerate(tables):
        pd.DataFrame(columns).to_parquet(folder / f"{number}.parquet")
    return folder


# What is done with the folder `tmp` -> what the error's one line must say.
CASES = {
    "items: not a frame": (lambda tmp: Catalogue([1]), ["items", "DataFrame", "list"]),
    "items: no item_id": (
        lambda tmp: Catalogue(pd.DataFrame({"id": ["a"]})),
        ["'item_id'", "['id']"],
    ),
    "items: empty": (lambda tmp: Catalogue(items().iloc[:0]), ["items", "no rows"]),
    "items: numbers as ids": (
        lambda tmp: Catalogue(pd.DataFrame({"item_id": [7, 8]})),
        ["'item_id'", "strings", "int", "7", "2 values are not"],
    ),
    "items: mixed ids": (
        lambda tmp: Catalogue(pd.DataFrame({"item_id": ["a", 1, 2.5]})),
        ["'item_id'", "float and int and str", "first 1", "2 values are not"],
    ),
    "items: null id": (
        lambda tmp: Catalogue(pd.DataFrame({"item_id": ["a", None]})),
        ["'item_id'", "1 null", "rows 1"],
    ),
    "items: empty id": (
        lambda tmp: Catalogue(pd.DataFrame({"item_id": ["", "b", ""]})),
        ["'item_id'", "2 empty", "rows 0, 2"],
    ),
    "items: repeated id": (
        lambda tmp: Catalogue(pd.DataFrame({"item_id": ["a", "b", "a"]})),
        ["'item_id'", "1 repeated", "['a']"],
    ),
    "items: line break in an id": (
        lambda tmp: Catalogue(pd.DataFrame({"item_id": ["a\nb", "c"]})),
        ["'item_id'", "1 ids", r"'a\nb'"],
    ),
    "items: a column twice": (
        lambda tmp: Catalogue(pd.DataFrame([["a", "b"]], columns=["item_id", "item_id"])),
        ["'item_id'", "twice"],
    ),
    "items: a title that is not text": (
        lambda tmp: Catalogue(items(title=["x", b"y", ["z"]])),
        ["'title'", "text", "2 values are not", "row 1"],
    ),
    "items: a numeric column that is not": (
        lambda tmp: Catalogue(items(price=["1", "x", "y"])).numeric("price"),
        ["'price'", "not numeric"],
    ),
    "items: no such file": (
        lambda tmp: Catalogue.from_parquet(tmp / "none.parquet"),
        ["items", "none.parquet"],
    ),
    "items: not a Parquet file": (
        lambda tmp: Catalogue.from_parquet(write(tmp / "x.parquet", "item_id\na\n")),
        ["items", "x.parquet", "parquet"],
    ),
    "items: a folder without Parquet files": (
        lambda tmp: Catalogue.from_parquet(tmp),
        ["items", "no .parquet files"],
    ),
    "items: an empty CSV file": (
        lambda tmp: Catalogue.from_csv(write(tmp / "x.csv", "")),
        ["items", "x.csv", "csv"],
    ),
    "items: a ragged CSV file": (
        lambda tmp: Catalogue.from_csv(write(tmp / "x.csv", "item_id,b\na,1\nb,2,3\n")),
        ["items", "x.csv", "line 3"],
    ),
    "items: a CSV file with a short header": (
        lambda tmp: Catalogue.from_csv(write(tmp / "x.csv", "item_id,b\na,1,2\nb,2,3\n")),
        ["items", "x.csv", "more fields than its header"],
    ),
    "items: a CSV file that is not UTF-8": (
        lambda tmp: Catalogue.from_csv(write(tmp / "x.csv", b"item_id\n\xff\xfe\n")),
        ["items", "x.csv", "csv"],
    ),
    "events: no user_id": (
        lambda tmp: read(user_id=None),
        ["interactions", "'user_id'", "['item_id', 'timestamp']"],
    ),
    "events: null user": (
        lambda tmp: read(user_id=["u", None, "v"]),
        ["'user_id'", "1 null", "rows 1", "nulls='drop'"],
    ),
    "events: empty user": (
        lambda tmp: read(user_id=["", "", "v"]),
        ["'user_id'", "2 empty", "0, 1"],
    ),
    "events: numbers as ids": (
        lambda tmp: read(user_id=[1, 2, 3]),
        ["'user_id'", "int", "first 1"],
    ),
    "events: mixed ids": (lambda tmp: read(item_id=["a", 2, "b"]), ["'item_id'", "int and str"]),
    "events: item absent from the catalogue": (
        lambda tmp: read(item_id=["a", "y", "z"]),
        ["'item_id'", "2 events", "['y', 'z']", "unknown_items='drop'"],
    ),
    "events: times missing": (
        lambda tmp: read(timestamp=[1.0, np.nan, np.inf]),
        ["'timestamp'", "2 missing or non-finite", "rows 1, 2"],
    ),
    "events: times as text": (
        lambda tmp: read(timestamp=["1", "2", "May"]),
        ["'timestamp'", "numeric", "'May'"],
    ),
    "events: mixed times": (
        lambda tmp: read(timestamp=[1, 2, "May"]),
        ["'timestamp'", "numeric", "'May'"],
    ),
    "events: times in milliseconds": (
        lambda tmp: read(timestamp=[1.7e12, 1.7e12, 1.7e12]),
        ["'timestamp'", "seconds", "1700000000000"],
    ),
    "events: times in microseconds": (
        lambda tmp: read(timestamp=[1.7e15, 1.7e15, 1.7e15]),
        [
            "'timestamp'",
            "looks like microseconds",
            "2023-11-14",
            "timestamp_unit='us'",
            "--timestamp",
        ],
    ),
    "events: times in nanoseconds": (
        lambda tmp: read(timestamp=[1_700_000_000_000_000_000] * 3),
        ["'timestamp'", "looks like nanoseconds", "timestamp_unit='ns'"],
    ),
    "events: times in seconds where milliseconds were announced": (
        lambda tmp: read_with(timestamp=[1.7e9] * 3, timestamp_unit="ms"),
        ["looks like seconds and not milliseconds"],
    ),
    "events: times of two units": (
        lambda tmp: read(timestamp=[1.7e9, 1.7e9, 1.7e12]),
        ["'timestamp'", "1 values", "first 1700000000000", "rows 2"],
    ),
    "events: an unknown unit": (
        lambda tmp: read_with(timestamp_unit="h"),
        ["timestamp_unit", "s, ms, us, ns", "'h'"],
    ),
    "events: times as words": (
        lambda tmp: read(timestamp=["2024-01-01", "today", "now"]),
        ["'timestamp'", "2 other texts", "'today' at row 1", "ISO 8601", "UTC"],
    ),
    "events: texts of digits as times": (
        lambda tmp: read(timestamp=["20240101", "20240102", "20240103"]),
        ["'timestamp'", "digits", "'20240101'", "format='%Y%m%d'"],
    ),
    "events: booleans as times": (
        lambda tmp: read(timestamp=[True, False, True]),
        ["'timestamp'", "booleans"],
    ),
    "events: bytes as times": (lambda tmp: read(timestamp=[b"2024-01-01"] * 3), ["'timestamp'"]),
    "events: durations as times": (
        lambda tmp: read(timestamp=pd.to_timedelta([1, 2, 3], unit="D")),
        ["'timestamp'", "timedelta64"],
    ),
    "events: a rating that float32 cannot hold": (
        lambda tmp: read(rating=[1, 1e300, np.inf]),
        ["'rating'", "2 missing", "float32", "rows 1, 2", "nulls='drop'"],
    ),
    "events: a weight that float32 cannot hold": (
        lambda tmp: read(weight=[1, 1e39, 1]),
        ["'weight'", "1 missing", "rows 1"],
    ),
    "events: complex ratings": (
        lambda tmp: read(rating=np.array([1, 2, 3], complex)),
        ["'rating'", "numeric", "complex128"],
    ),
    "events: dates as ratings": (
        lambda tmp: read(rating=pd.to_datetime(["2024-01-01"] * 3)),
        ["'rating'", "numeric"],
    ),
    "events: an infinite context": (
        lambda tmp: read(price=[1.0, np.nan, -np.inf]),
        ["'price'", "1 infinite", "-inf", "rows 2"],
    ),
    "events: half an emoji in a context": (
        lambda tmp: read(country=objects("x", "\ud83d", "y")),
        ["'country'", "1 values", "row 1"],
    ),
    "events: half an emoji in an id": (
        lambda tmp: read(user_id=objects("u", "\ud83d", "v")),
        ["'user_id'", "1 values", r"'\ud83d' at row 1"],
    ),
    "events: half an emoji in a time": (
        lambda tmp: read(timestamp=objects("2024-01-01", "2024\ud83d", "2024-01-01")),
        ["'timestamp'", "row 1"],
    ),
    "events: half an emoji in a rating": (
        lambda tmp: read(rating=objects("1", "2", "\ud83d")),
        ["'rating'", "row 2"],
    ),
    "events: bytes as ids": (
        lambda tmp: read(user_id=[b"u", b"u", b"v"]),
        ["'user_id'", "bytes", "frame['user_id'].str.decode('utf-8')"],
    ),
    "events: an id under another name": (
        lambda tmp: read(user_id=None, userId=["u", "u", "v"]),
        ["'user_id'; similar: 'userId'", "{'user_id': 'userId'}", "--columns user_id=userId"],
    ),
    "events: a renamed column that is not there": (
        lambda tmp: read_with(columns={"rating": "star"}, stars=[1, 2, 3]),
        ["no column 'star'", "similar: 'stars'"],
    ),
    "items: an infinite number": (
        lambda tmp: Catalogue(items(price=[1.0, np.inf, 1e300])),
        ["'price'", "2 infinite", "rows 1, 2", "NaN"],
    ),
    "items: complex numbers": (
        lambda tmp: Catalogue(items(price=np.array([1, 2, 3], complex))),
        ["'price'", "real", "complex128"],
    ),
    "items: half an emoji in a title": (
        lambda tmp: Catalogue(items(title=objects("x", "y\ude00", "z"))),
        ["'title'", "1 values", "row 1"],
    ),
    "items: half an emoji in a category": (
        lambda tmp: Catalogue(items(kind=objects("x", "y", "\ude00"))),
        ["'kind'", "1 values", "row 2"],
    ),
    "items: half an emoji in pandas' own strings": (
        lambda tmp: Catalogue(items(kind=pd.Series(["x", "\ude00", "y"], dtype="string[python]"))),
        ["'kind'", "1 values", "row 1"],
    ),
    "items: half an emoji in a list": (
        lambda tmp: Catalogue(items(tags=[["x", "\ude00"], [], None])),
        ["'tags'", "1 values", "row 0"],
    ),
    "items: half an emoji in an id": (
        lambda tmp: Catalogue(pd.DataFrame({"item_id": objects("\ud83d", "b")})),
        ["'item_id'", "row 0"],
    ),
    "items: lists of a column that is not there": (
        lambda tmp: Catalogue(items(), lists={"genres": "|"}),
        ["lists", "'genres'", "['item_id']"],
    ),
    "items: lists without a separator": (
        lambda tmp: Catalogue(items(genres=["a|b", "a", None]), lists={"genres": ""}),
        ["lists", "'genres'", "separator"],
    ),
    "items: lists of numbers": (
        lambda tmp: Catalogue(items(genres=[1, 2, 3]), lists={"genres": "|"}),
        ["'genres'", "must hold text"],
    ),
    "items: an id under another name": (
        lambda tmp: Catalogue(pd.DataFrame({"ItemID": ["a"]})),
        ["similar: 'ItemID'", "--item-columns item_id=ItemID"],
    ),
    "items: an id under another name, beside a title": (
        lambda tmp: Catalogue(pd.DataFrame({"movieId": ["a"], "title": ["b"]})),
        ["similar: 'movieId'; rename", "--item-columns item_id=movieId"],
    ),
    "items: lists of a column with a near name": (
        lambda tmp: Catalogue(items(genres=["a|b", "a", None]), lists={"genre": "|"}),
        ["lists: there is no column 'genre'; similar: 'genres'"],
    ),
    "events: repeats, and times under another name": (
        lambda tmp: read(timestamp=None, item_id=["a", "a", "b"], bought_at=["2024-05-31"] * 3),
        ["1 repeated", "--columns timestamp=COLUMN", "data.duplicates", "'bought_at'"],
    ),
    "vocabulary: half an emoji": (
        lambda tmp: Vocabulary(["a", "\ud83d"]),
        ["vocabulary", "row 1"],
    ),
    "events: negative weight": (
        lambda tmp: read(weight=[1, -2, -3]),
        ["'weight'", "2 negative", "-2", "row 1"],
    ),
    "events: rating as text": (
        lambda tmp: read(rating=["good", "bad", "5"]),
        ["'rating'", "'good'"],
    ),
    "events: repeated pairs without times": (
        lambda tmp: read(timestamp=None, item_id=["a", "a", "a"]),
        ["1 repeated", "('u', 'a')", "duplicates='first'"],
    ),
    "events: a context column with a reserved name": (
        lambda tmp: read(item=[1, 2, 3]),
        ["'item'", "rename"],
    ),
    "events: min_rating without ratings": (
        lambda tmp: Interactions.from_frame(events(), Catalogue(items()), min_rating=4),
        ["min_rating=4", "'rating'"],
    ),
    "events: nothing left": (
        lambda tmp: Interactions.from_frame(
            events(rating=[1, 2, 3]), Catalogue(items()), min_rating=4
        ),
        ["no events are left of 3", "min_rating=4"],
    ),
    "events: nothing left after dropping nulls": (
        lambda tmp: Interactions.from_frame(
            events(user_id=[None] * 3), Catalogue(items()), nulls="drop"
        ),
        ["nulls='drop'", "none of 3 events"],
    ),
    "events: unknown repair": (
        lambda tmp: Interactions.from_frame(events(), Catalogue(items()), nulls="fill"),
        ["nulls", "'fill'", "'drop'"],
    ),
    "events: empty": (
        lambda tmp: Interactions.from_frame(events().iloc[:0], Catalogue(items())),
        ["interactions", "no rows"],
    ),
    "split: unknown kind": (lambda tmp: read().split("weekly"), ["'weekly'", "temporal"]),
    "split: a share above 1": (lambda tmp: read().split(test=20), ["test", "20"]),
    "split: no times": (lambda tmp: read(timestamp=None).split(), ["'timestamp'", "'random'"]),
    "split: one moment": (
        lambda tmp: read(timestamp=[5, 5, 5]).split(),
        ["temporal", "no training events"],
    ),
    "vocabulary: numbers": (lambda tmp: Vocabulary(["a", 1]), ["vocabulary", "strings", "1"]),
    "vocabulary: repeated": (lambda tmp: Vocabulary(["a", "a"]), ["1 repeated", "['a']"]),
    "vocabulary: no such file": (lambda tmp: Vocabulary.load(tmp / "v.txt"), ["v.txt"]),
    "vocabulary: not UTF-8": (
        lambda tmp: Vocabulary.load(write(tmp / "v.txt", b"\xff\n")),
        ["v.txt", "utf-8"],
    ),
    "batches: unknown examples": (
        lambda tmp: read().batches(2, examples="triples"),
        ["'triples'", "pairs"],
    ),
    "batches: columns of two lengths": (
        lambda tmp: BlockWindow({"a": np.arange(2), "b": np.arange(3)}),
        ["same length", "{'a': 2, 'b': 3}"],
    ),
    "batches: no rows in a batch": (
        lambda tmp: BlockWindow({"a": np.arange(2)}).batches(0),
        ["batch_size", "0"],
    ),
    "batches: a shard that is not there": (
        lambda tmp: BlockWindow({"a": np.arange(2)}).batches(1, shard=(2, 2)),
        ["index", "2"],
    ),
    "batches: Parquet files of two schemas": (
        lambda tmp: ParquetWindow(parquet(tmp, {"a": [1]}, {"a": ["x"]})),
        ["1.parquet", "another schema", "0.parquet"],
    ),
    "batches: nulls in Parquet": (
        lambda tmp: ParquetWindow(parquet(tmp, {"a": [1.0, None, None]})),
        ["'a'", "2 null", "row group 0", "0.parquet"],
    ),
    "batches: no such Parquet column": (
        lambda tmp: ParquetWindow(parquet(tmp, {"a": [1]}), {"user_id": Vocabulary(["u"])}),
        ["missing", "'user_id'", "['a']"],
    ),
    "batches: a vocabulary for numbers": (
        lambda tmp: ParquetWindow(parquet(tmp, {"user_id": [1]}), {"user_id": Vocabulary(["1"])}),
        ["'user_id'", "strings", "int64"],
    ),
    "batches: Parquet without numbers": (
        lambda tmp: ParquetWindow(parquet(tmp, {"name": ["x"]})),
        ["no numeric column", "['name']"],
    ),
    "batches: more shards than row groups": (
        lambda tmp: ParquetWindow(parquet(tmp, {"a": [1]})).batches(1, shard=(0, 2)),
        ["1 row groups", "shard=(0, 2)"],
    ),
    "pairs: no such context column": (
        lambda tmp: pair_examples(read(), 2, context=["price"]),
        ["'price'"],
    ),
    "pairs: a context column with a name of the batch": (
        lambda tmp: pair_examples(read(history=[1, 2, 3]), 2),
        ["'history'", "rename"],
    ),
    "pairs: a user who has every item": (
        lambda tmp: pair_examples(read(user_id=["u"] * 3, item_id=["a", "b", "c"]), 2, negatives=1),
        ["'u'", "every item"],
    ),
    "pairs: other vocabularies": (
        lambda tmp: pair_examples(read(), 2, known=read(user_id=["x", "y", "z"])),
        ["known", "vocabularies"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_named_in_one_line(name, tmp_path):
    make, words = CASES[name]
    with pytest.raises(InputError) as caught:
        make(tmp_path)
    message = str(caught.value)
    assert "\n" not in message
    assert [word for word in words if word not in message] == []
