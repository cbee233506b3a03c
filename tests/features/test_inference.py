"""Which columns become features of which kind, and what is said of each."""

import datetime
import logging

import numpy as np
import pandas as pd

from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.features import Category, Features, Number, Tags, Time
from tfrec_fusion.models import Ranker, TwoTower

N = 40
RNG = np.random.default_rng(0)


def _events():
    """Item i has i % 7 + 1 events."""
    day = datetime.datetime(2024, 1, 1)
    items = pd.DataFrame(
        {
            "item_id": [f"i{row}" for row in range(N)],
            "title": [f"thing {row}" for row in range(N)],
            "brand": ["acme", "zen"] * (N // 2),
            "genres": ["a|b", "b", "a|c", "c"] * (N // 4),
            "tags": [["x"], ["y", "x"]] * (N // 2),
            "price": RNG.uniform(1, 50, N),
            "stock": RNG.permutation([1.0] * (N - 1) + [1000.0]) + RNG.random(N),
            "size": RNG.permutation([36, 37, 38, 39] * (N // 4)),
            "new": RNG.permutation([True, False] * (N // 2)),
            "since": [day + datetime.timedelta(days=row) for row in range(N)],
            "made": [f"202{row % 5}-0{row % 9 + 1}-01" for row in range(N)],
            "sent": [f"2024-05-31T12:3{row % 9}:00Z" for row in range(N)],
            "day": [datetime.date(2024, 1, row % 28 + 1) for row in range(N)],
            "from": ["2024-05-31", "2023-01-01", "2022-02-02", "soon"] * (N // 4),
            "world": "earth",
            "tmdbId": RNG.permutation(N) + 100,
            "motto": [f"motto no. {max(row, 8)}" for row in range(N)],
            "label": [f"label {row}" for row in range(N)],
            "marks": [[f"mark {row}"] for row in range(N)],
            "nothing": None,
            "sold": [2.0 * (row % 7 + 1) + 0.5 for row in range(N)],
        }
    )
    users = pd.DataFrame(
        {"user_id": [f"u{row}" for row in range(7)], "country": list("ddfffdd"), "age": range(7)}
    )
    rows = [(f"u{user}", f"i{item}") for item in range(N) for user in range(item % 7 + 1)]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id"])
    return Interactions.from_frame(frame, Catalogue(items), users=users)


def test_every_column_becomes_something_or_is_named(caplog):
    with caplog.at_level(logging.WARNING):
        found = Features.infer(_events())
    assert found.item == (
        Category(column="brand", min_count=2),
        Tags(column="genres", separator="|", min_count=2),
        Tags(column="tags", min_count=2),
        Number(column="price"),
        Number(column="stock", scale="log"),
        Category(column="size", min_count=2),
        Category(column="new"),
        *(Time(column=x, parts=("age", "season")) for x in ("since", "made", "sent", "day")),
    )
    assert found.user == (Category(column="country", min_count=2), Number(column="age"))
    said = caplog.text
    assert "brand: category (min_count=2)" in said
    for column, reason in {
        "from": f"{N // 4} of {N} values are no dates as the others are, first 'soon'",
        "world": "constant",
        "tmdbId": "looks like ids",
        "motto": "free text or ids",
        "label": "no value occurs twice",
        "marks": "no tag occurs twice",
        "nothing": "all values are missing",
        "sold": "its rank correlation with the number of events is 1.00",
    }.items():
        assert f"{column}: left out, " in said
        assert reason in said.partition(f"{column}: left out, ")[2].partition(";")[0]
    assert "title" not in said


def test_odd_columns_are_left_out_with_a_reason(caplog):
    events = _events()
    odd = {
        "numbers": [[1]] * N,
        "bytes": [b"x", b"y"] * (N // 2),
        "one": pd.Series(["a", None] * (N // 2), dtype="category"),
        "sparse": pd.arrays.SparseArray([1, 0] * (N // 2)),
        7: range(N),
    }
    items = events.catalogue.frame[["item_id"]].assign(brand=["a", "b"] * (N // 2))
    for name, values in odd.items():
        items[name] = values
    frame = pd.DataFrame({"user_id": "u", "item_id": items["item_id"]})
    with caplog.at_level(logging.WARNING):
        found = Features.infer(Interactions.from_frame(frame, Catalogue(items, numbers=[])))
    assert found == Features(item=[Category(column="brand", min_count=2)])
    for name in odd:
        assert f"{name}: left out, " in caplog.text


def test_a_column_that_other_rows_spoil_is_left_out(caplog):
    items = pd.DataFrame({"item_id": [f"i{row}" for row in range(5)]})
    items["released"] = ["2020-01-01", "2021-01-01", "2020-01-01", "2021-01-01", "n/a"]
    bought = pd.DataFrame({"user_id": list("aabb"), "item_id": ["i0", "i1", "i2", "i3"]})
    with caplog.at_level(logging.WARNING):
        found = Features.infer(Interactions.from_frame(bought, Catalogue(items)))
    assert found.item == ()
    assert "released: left out" in caplog.text and "n/a" in caplog.text


def test_without_users_and_without_columns():
    catalogue = Catalogue(pd.DataFrame({"item_id": ["a", "b"]}))
    frame = pd.DataFrame({"user_id": ["u", "u"], "item_id": ["a", "b"]})
    assert Features.infer(Interactions.from_frame(frame, catalogue)) == Features()


def test_models_infer_them():
    for make in (TwoTower, Ranker):
        model = make(_events(), dim=4, features="infer")
        assert [one.column for one in model.spec.item_side.features][:2] == ["brand", "genres"]
        assert model.config.features == Features.infer(_events())
        assert type(model).from_config(model.get_config()).spec == model.spec
