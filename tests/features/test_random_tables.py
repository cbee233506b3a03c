"""Whatever tables hold, their features are encoded or refused in one line."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from odd_tables import odd_tables

from tfrec_fusion.data import Catalogue, UserTable
from tfrec_fusion.errors import InputError
from tfrec_fusion.features import Category, Cross, Number, Side, Tags, Time, Vectors

KINDS = (
    Category(column="x"),
    Category(column="x", hash_buckets=7, min_count=2),
    Tags(column="x", pooling="attention"),
    Tags(column="x", separator="|"),
    Number(column="x"),
    Number(column="x", scale="log"),
    Number(column="x", scale="quantile", bins=3),
    Time(column="x"),
    Cross(column="c", of=("x", "y"), hash_buckets=7),
    Vectors(column="x"),
    Vectors(column="x", whiten=False),
)
IDS = ["a", "b", "c", "d"]
COLUMNS = {"x": None, "y": None}


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    train=odd_tables(IDS, "user_id", COLUMNS),
    later=odd_tables([*IDS, "e"], "user_id", COLUMNS),
)
def test_users_are_encoded_or_refused_in_one_line(kind, train, later):
    _check("users", kind, lambda t: UserTable(t).rows_of([*t["user_id"], "new"]), train, later)


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    train=odd_tables(IDS, "item_id", COLUMNS),
    later=odd_tables([*IDS, "e"], "item_id", COLUMNS),
)
def test_items_are_encoded_or_refused_in_one_line(kind, train, later):
    _check("items", kind, lambda t: Catalogue(t, numbers=[]).frame, train, later)


def _check(name, kind, read, train, later):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            side = Side.fit(name, (kind,), read(train))
            side = Side.model_validate_json(side.model_dump_json())
            encoded = [side.encode(read(table)) for table in (train, later)]
        except InputError as error:
            assert "\n" not in str(error)
            assert str(error).startswith(f"{name}: ")
            return
    for rows, numbers in encoded:
        assert (rows.dtype, numbers.dtype) == (np.int32, np.float32)
        assert (rows.shape[1], numbers.shape[1]) == (side.width, side.n_numbers)
        assert ((rows >= -1) & (rows < max(side.n_values, 1))).all()
        assert np.isfinite(numbers).all()
    # The order of columns and rows changes nothing.
    turned = read(train[train.columns[::-1]][::-1].reset_index(drop=True))
    again = side.encode(turned)
    for mine, theirs in zip(encoded[0], again, strict=True):
        known = len(train)
        np.testing.assert_array_equal(mine[:known][::-1], theirs[:known])


@pytest.mark.parametrize("dtype", ["category", "string", "object", "string[pyarrow]"])
def test_texts_of_every_type_are_the_same(dtype):
    train = UserTable(_users()).rows_of(IDS)
    side = Side.fit("users", (KINDS[0], KINDS[3], KINDS[8]), train)
    other = UserTable(_users().astype({"x": dtype, "y": dtype})).rows_of(IDS)
    for mine, theirs in zip(side.encode(train), side.encode(other), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def _users():
    return pd.DataFrame({"user_id": IDS, "x": ["p", "q|p", None, "p"], "y": ["u", "v", "u", "u"]})
