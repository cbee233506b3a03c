"""What each kind of declared feature makes of a column."""

import datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrec_fusion.data import UserTable
from tfrec_fusion.errors import InputError
from tfrec_fusion.features import (
    Category,
    Cross,
    Features,
    Number,
    SemanticId,
    Side,
    Tags,
    Time,
    Vectors,
)
from tfrec_fusion.models.building import checked
from tfrec_fusion.models.fusion_config import FusionConfig

DAY = 86_400


def _frame(**columns):
    return pd.DataFrame({name: pd.Series(values) for name, values in columns.items()})


def _encoded(feature, train, rows):
    return feature.fit(train, "items").encode(rows, "items")


def test_a_category_has_rows_by_frequency_then_name():
    """b occurs twice, a and c once: rows 1, 2, 3; unseen is 0, missing and empty are -1."""
    train = _frame(x=["c", "b", "a", "b", None])
    rows, numbers = _encoded(
        Category(column="x"), train, _frame(x=["a", "b", "c", "new", None, ""])
    )
    assert rows.ravel().tolist() == [2, 1, 3, 0, -1, -1]
    assert numbers.shape == (6, 0)


def test_rare_values_count_as_unseen():
    train = _frame(x=["a", "a", "b"])
    feature = Category(column="x", min_count=2).fit(train, "items")
    assert feature.n_values == 2
    assert feature.encode(_frame(x=["a", "b"]), "items")[0].ravel().tolist() == [1, 0]


@pytest.mark.parametrize(
    "values",
    [
        pd.Series([3, 4, 3]),
        pd.Series([3.0, 4.0, 3.0]),
        pd.Series(["3", "4", "3"]),
        pd.Series([3, 4, 3], dtype="Int64"),
        pd.Series([3, 4, 3], dtype="category"),
        pd.Series(["3", "4", "3"], dtype="category"),
    ],
    ids=str,
)
def test_a_category_is_the_same_in_every_dtype(values):
    feature = Category(column="x").fit(_frame(x=["3", "3", "4"]), "items")
    assert feature.encode(_frame(x=values), "items")[0].ravel().tolist() == [1, 2, 1]


def test_booleans_and_dates_are_categories():
    feature = Category(column="x").fit(_frame(x=[True, True, False]), "items")
    assert feature.values == ("true", "false")
    day = datetime.date(2024, 2, 29)
    assert Category(column="x").fit(_frame(x=[day]), "items").values == ("2024-02-29",)


def test_hashed_categories_need_no_vocabulary():
    feature = Category(column="x", hash_buckets=1000).fit(_frame(x=["a"]), "items")
    rows = feature.encode(_frame(x=["a", "new", "a", None]), "items")[0].ravel()
    assert rows[0] == rows[2] != rows[1]
    assert rows[3] == -1
    assert ((rows[:3] >= 1) & (rows[:3] <= 1000)).all()
    assert feature.n_values == 1001


def test_tags_are_padded_and_unknown_ones_left_out():
    """War occurs twice: row 0; then Drama and Noir by name."""
    train = _frame(x=[["War", "Drama"], ["War"], ["Noir"], None])
    feature = Tags(column="x").fit(train, "items")
    assert feature.values == ("War", "Drama", "Noir")
    rows = feature.encode(_frame(x=[["Noir", "War", "War"], ["new"], None, []]), "items")[0]
    assert rows.tolist() == [[0, 2], [-1, -1], [-1, -1], [-1, -1]]


def test_tags_of_texts_and_the_most_frequent_of_many():
    train = _frame(x=["a| b", "a|b|c", "a"])
    feature = Tags(column="x", separator="|", most=2).fit(train, "items")
    assert feature.width == 2
    assert feature.encode(_frame(x=["c|b|a"]), "items")[0].tolist() == [[0, 1]]


def test_standard_numbers_and_the_flag_of_missing_ones():
    """Mean 3, deviation 1; 100 is clipped to 6 deviations."""
    numbers = _encoded(Number(column="x"), _frame(x=[2.0, 4.0]), _frame(x=[3.0, 5.0, 100.0, None]))
    assert numbers[1].tolist() == [[0, 0], [2, 0], [6, 0], [0, 1]]


def test_logarithms_and_raw_numbers():
    e = np.e
    train = _frame(x=[e - 1, e**3 - 1])  # logarithms 1 and 3: mean 2, deviation 1
    numbers = _encoded(Number(column="x", scale="log"), train, _frame(x=[e**2 - 1, e**4 - 1]))[1]
    assert numbers[:, 0] == pytest.approx([0, 2], abs=1e-6)
    raw = _encoded(Number(column="x", scale="raw"), train, _frame(x=[17.0]))[1]
    assert raw.tolist() == [[17, 0]]


def test_quantile_bins():
    """Four bins of 1 to 8: the edges are the quartiles 2.75, 4.5 and 6.25."""
    train = _frame(x=np.arange(1.0, 9.0))
    feature = Number(column="x", scale="quantile", bins=4).fit(train, "items")
    assert feature.edges == (2.75, 4.5, 6.25)
    rows = feature.encode(_frame(x=[-5.0, 2.75, 3.0, 6.0, 99.0, None]), "items")[0].ravel()
    assert rows.tolist() == [0, 0, 1, 2, 3, -1]


def test_times_of_day_and_week():
    """1970-01-01 is a Thursday; 06:00 is a quarter of the day: sine 1, cosine 0."""
    train = _frame(x=[0.0, 10 * DAY])
    feature = Time(column="x", parts=("hour", "weekday")).fit(train, "items")
    numbers = feature.encode(_frame(x=[DAY / 4, None]), "items")[1]
    week = 2 * np.pi / 28
    expected = [[1, 0, np.sin(week), np.cos(week), 0], [0, 0, 0, 0, 1]]
    assert numbers == pytest.approx(np.array(expected), abs=1e-6)


def test_the_age_is_that_before_the_latest_training_time():
    """Ages of 0 and e^2 - 1 days have the logarithms 0 and 2: mean 1, deviation 1."""
    latest = 1e9
    train = _frame(x=[latest, latest - (np.e**2 - 1) * DAY])
    feature = Time(column="x", parts=("age",)).fit(train, "items")
    numbers = feature.encode(_frame(x=[latest, latest - (np.e**2 - 1) * DAY]), "items")[1]
    assert numbers == pytest.approx(np.array([[-1, 0], [1, 0]]), abs=1e-5)


def test_crosses_differ_and_need_all_their_columns():
    cross = Cross(column="both", of=("a", "b"), hash_buckets=10_000)
    frame = _frame(a=["x", "xy", "x", None], b=["yz", "z", "yz", "z"])
    rows = _encoded(cross, frame, frame)[0].ravel()
    assert rows[0] == rows[2] != rows[1]
    assert rows[3] == -1


def test_whitened_vectors_and_the_flag_of_missing_ones():
    """Variances 4 and 1 along the axes: x is divided by 2 and 1; 99 is clipped to 6 deviations."""
    corners = [[2.0, 1.0], [-2.0, 1.0], [2.0, -1.0], [-2.0, -1.0]]
    feature = Vectors(column="x").fit(_frame(x=[*corners, None]), "users")
    assert (feature.n_numbers, feature.width) == (3, 0)
    rows = _frame(x=[np.array([1.0, 3.0]), [99, 0], None, np.nan, []])
    numbers = feature.encode(rows, "users")[1]
    expected = [[0.5, 3, 0], [6, 0, 0], [0, 0, 1], [0, 0, 1], [0, 0, 1]]
    np.testing.assert_allclose(numbers, expected, atol=1e-5)
    first = Vectors(column="x", most=1).fit(_frame(x=corners), "users")
    np.testing.assert_allclose(first.encode(rows[:1], "users")[1], [[0.5, 0]], atol=1e-5)
    raw = Vectors(column="x", whiten=False).fit(_frame(x=corners), "users")
    assert raw.encode(rows[1:3], "users")[1].tolist() == [[99, 0, 0], [0, 0, 1]]


def test_other_vectors_than_in_training():
    feature = Vectors(column="x").fit(_frame(x=[[1.0, 2.0], [3.0, 1.0]]), "users")
    for value in ([1.0], [[1.0, 2.0]], [np.inf, 0], [1e39, 0], ["a", "b"], ["1", "2"], "1 2", 3.0):
        with pytest.raises(InputError, match="must be a list of 2 finite numbers; wrong at row 1"):
            feature.encode(_frame(x=[[1.0, 2.0], value]), "users")


def test_the_prefixes_of_semantic_ids():
    """Two groups of 8 with two halves of 4: two prefixes of length 1 and four of length 2."""
    corners = [[-10.0, -1.0], [-10.0, 1.0], [10.0, -1.0], [10.0, 1.0]]
    train = _frame(x=corners * 4)
    feature = SemanticId(column="x", levels=2, codes=2, whitening_dim=None).fit(train, "items")
    assert (feature.width, feature.n_values, feature.n_numbers) == (2, 6, 0)
    rows = feature.encode(_frame(x=[*corners, None, [11.0, 0.9]]), "items")[0]
    assert sorted({*rows[:4].ravel()}) == [0, 1, 2, 3, 4, 5]
    assert rows[0, 0] == rows[1, 0] != rows[2, 0] == rows[3, 0]
    # The same second code after another first one is another prefix.
    assert len({*rows[:4, 1]}) == 4
    assert rows[4].tolist() == [-1, -1]
    assert rows[5].tolist() == rows[3].tolist()


def test_rare_prefixes_are_left_out():
    """Of the group of +10 only one row is in the upper half: its prefix of length 2 is rare."""
    rows = [[-10.0, -1.0]] * 4 + [[-10.0, 1.0]] * 4 + [[10.0, -1.0]] * 7 + [[10.0, 1.0]]
    train = _frame(x=rows)
    feature = SemanticId(column="x", levels=2, codes=2, whitening_dim=None).fit(train, "items")
    assert feature.n_values == 5
    found = feature.encode(train, "items")[0]
    assert found[-1, 0] == found[-2, 0] >= 0
    assert found[-1, 1] == -1
    every = SemanticId(column="x", levels=2, codes=2, whitening_dim=None, min_count=1)
    assert every.fit(train, "items").n_values == 6
    with pytest.raises(InputError, match="no cluster of 17 or more of 16 training rows"):
        SemanticId(column="x", min_count=17).fit(train, "items")


def test_the_features_of_a_side_share_one_table():
    """Rows of the second feature start after the 3 of the first (other, b, a)."""
    frame = _frame(x=["a", "b", "b"], t=[["p"], ["q", "p"], None], n=[1.0, 2.0, 3.0])
    side = Side.fit("items", (Category(column="x"), Tags(column="t"), Number(column="n")), frame)
    rows, numbers = side.encode(frame[["n", "t", "x"]].assign(more=1))
    assert rows.tolist() == [[2, 3, -1], [1, 3, 4], [1, -1, -1]]
    assert numbers[:, 0] == pytest.approx([-(1.5**0.5), 0, 1.5**0.5])
    assert (side.n_values, side.width, side.n_numbers) == (5, 3, 2)
    assert side.slots == [(1, "sum"), (2, "mean")]


def test_a_fitted_side_comes_back_from_json():
    frame = _frame(x=["a", "b"], t=[["p"], ["q"]], n=[1.0, 2.0], d=[1e9, 1.1e9])
    frame["v"] = frame["s"] = [[1.0, 2.0, 0.5], [0.0, 3.0, 0.1]]
    features = (
        Category(column="x"),
        Tags(column="t"),
        Number(column="n", scale="quantile"),
        Time(column="d"),
        Cross(column="c", of=("x", "n")),
        Vectors(column="v"),
        SemanticId(column="s"),
    )
    side = Side.fit("items", features, frame)
    again = Side.model_validate_json(side.model_dump_json())
    assert again == side
    for mine, theirs in zip(side.encode(frame), again.encode(frame), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("dtype", ["int64", "bool", "category", "Int64"])
@pytest.mark.parametrize("feature", [Number(column="x"), Category(column="x"), Time(column="x")])
def test_missing_rows_of_any_type_of_number(feature, dtype):
    """The last row is that of a user whom the table lacks."""
    if dtype == "bool" and feature.kind == "time":
        return
    table = pd.DataFrame({"x": pd.Series([1, 0, 1]).astype(dtype)})
    if dtype == "category":
        table["x"] = pd.Series(["a", "b", "a"]).map({"a": 1, "b": 0}).astype("category")
    fitted = feature.fit(table, "users")
    users = UserTable(table.assign(user_id=list("uvw")))
    rows, numbers = fitted.encode(users.rows_of(["u", "v", "new"]), "users")
    known = fitted.encode(table.iloc[:2], "users")
    np.testing.assert_array_equal(rows[:2], known[0])
    np.testing.assert_array_equal(numbers[:2], known[1])
    assert (rows[2] == -1).all()
    assert not numbers[2, :-1].any()


@pytest.mark.parametrize(
    ("feature", "values", "message"),
    [
        (
            Category(column="x"),
            [["a"], ["b"]],
            "is a category, and holds a list.*declare it as Tag",
        ),
        (Category(column="x"), [None, None], "has no category"),
        (Category(column="x", min_count=2), ["a", "b"], "has no category in 2 or more of 2"),
        (Category(column="x"), [1j, 2j], "holds a complex"),
        (Tags(column="x"), [[1, 2]], "must be a list of texts"),
        (Tags(column="x"), [[], None], "has no tag"),
        (Number(column="x"), ["a", "b"], "'x' must be numeric"),
        (Number(column="x"), [None, np.nan], "has no number"),
        (Vectors(column="x"), [[1.0, 2.0], None], "'x' has 1 vectors in 2 training rows"),
        (SemanticId(column="x"), [[1.0, 2.0], None], "'x' has 1 vectors in 2 training rows"),
        (Time(column="x"), ["no time"], "'x'"),
        (Time(column="x"), [None], "has no time"),
        (Time(column="x"), [np.array([1, 2])], "must hold numeric unix times"),
        (Time(column="x"), [3e38], "numbers beyond all times, e.g. 3e"),
        (Time(column="x"), [1.7e12], r"pass unit='ms'$"),
        (
            Cross(column="c", of=("x", "y")),
            ["a"],
            "columns of the declared features are missing: y",
        ),
    ],
    ids=str,
)
def test_unfit_columns_are_named(feature, values, message):
    with pytest.raises(InputError, match=message):
        Side.fit("items", (feature,), _frame(x=values))


@pytest.mark.parametrize("column", ["item_id", "user_id"])
def test_ids_are_no_features(column):
    for make in (
        lambda: Category(column=column),
        lambda: Category(column=column, hash_buckets=9),
        lambda: Cross(column="c", of=("x", column)),
        lambda: Features(context=[{"kind": "category", "column": column}]),
    ):
        with pytest.raises(InputError, match=r"it embeds them itself \(options use_ids and user"):
            make()


@pytest.mark.parametrize("crossed", [False, True])
def test_fractions_are_no_categories(crossed):
    feature = Cross(column="c", of=("x", "y")) if crossed else Category(column="x")
    train = _frame(x=[3.0, None, 1.21], y=["a", "b", "c"])
    with pytest.raises(
        InputError,
        match=r"^items: column 'x' .* holds fractions, first at row 2; declare it as Number .*"
        r"Received: 1\.21$",
    ):
        Side.fit("items", (feature,), train)
    whole = Side.fit("items", (feature,), train.iloc[:2])
    assert whole.encode(train.iloc[:2])[0].shape == (2, 1)
    with pytest.raises(InputError, match="holds fractions"):
        whole.encode(train)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Category(column="x", min_count=0), "Category: min_count: Input should be greater"),
        (lambda: Category(), "Category: column: this option is needed"),
        (lambda: Category("brand"), "Category: options are given by name, as in column=...; the"),
        (lambda: Cross("c", ["a", "b"]), "Cross: options are given by name, as in column=...; the"),
        (lambda: Features([Tags(column="x")]), "Features: options are given by name, as in item="),
        (lambda: Tags(colum="x"), "Tags: colum: unknown option; the options are kind, column, se"),
        (lambda: Cross(column="c", of=["a"]), "Cross: of: Tuple should have at least 2 items"),
        (lambda: Time(column="x", parts=["week"]), "Time: parts: must be different ones of age"),
        (lambda: Features(items=[]), "Features: items: unknown option; the options are item, user"),
        (lambda: Features(item=["x"]), "Features: item.0: Input should be a valid"),
        (lambda: Features(item=[{"kind": "bin"}]), "Features: item.0: Input tag 'bin'"),
        (
            lambda: Features(item=[{"kind": "tags", "column": "x", "most": 0}]),
            "Features: item.0.most: Input should be greater than 0. Received: 0",
        ),
        (
            lambda: Features(item=[Category(column="x"), Tags(column="x")]),
            "Features: item: must have different names; 'x' occurs twice",
        ),
    ],
)
def test_a_wrong_option_is_one_line(make, says):
    with pytest.raises(InputError) as refused:
        make()
    assert str(refused.value).startswith(says)
    assert "\n" not in str(refused.value)


def test_a_mapping_and_python_name_the_same_mistake():
    """In a config the place comes first, and the same reason follows."""
    wrong = {"column": "c", "of": ["a"], "hash_buckets": 0}
    with pytest.raises(InputError) as in_python:
        Cross(**wrong)
    with pytest.raises(InputError) as as_mapping:
        checked("TwoTower", FusionConfig, {"features": {"item": [{"kind": "cross", **wrong}]}})
    place, reason = str(in_python.value).split("Cross: ")
    assert str(as_mapping.value) == f"{place}TwoTower: features.item.0.{reason}"


def test_another_kind_of_column_than_in_training():
    side = Side.fit("items", (Number(column="x"),), _frame(x=[1.0, 2.0]))
    with pytest.raises(InputError, match=r"items: column 'x' must be numeric\. Received: 'cheap'"):
        side.encode(_frame(x=["cheap"]))
    with pytest.raises(InputError, match="1 columns of the declared features are missing: x"):
        side.encode(_frame(y=[1.0]))


_VALUES = st.one_of(
    st.none(),
    st.text(max_size=3),
    st.integers(-(2**60), 2**60),
    st.floats(allow_nan=True, allow_infinity=True),
    st.booleans(),
    st.lists(st.text(max_size=2), max_size=3),
    st.lists(st.floats(), min_size=2, max_size=2),
)
_KINDS = [
    Category(column="x"),
    Category(column="x", hash_buckets=7),
    Tags(column="x", separator="|"),
    Number(column="x"),
    Number(column="x", scale="quantile", bins=3),
    Time(column="x"),
    Cross(column="c", of=("x", "x2"), hash_buckets=7),
    Vectors(column="x"),
    Vectors(column="x", whiten=False),
    SemanticId(column="x"),
    SemanticId(column="x", levels=1, codes=2, whitening_dim=None, min_count=1),
]


@settings(max_examples=60, deadline=None)
@given(
    train=st.lists(_VALUES, min_size=1, max_size=6),
    rows=st.lists(_VALUES, min_size=1, max_size=6),
    kind=st.sampled_from(_KINDS),
)
def test_any_column_is_encoded_within_bounds_or_refused_in_one_line(train, rows, kind):
    def table(values):
        column = pd.Series(values, dtype=object)
        return pd.DataFrame({"x": column, "x2": column})

    try:
        side = Side.fit("items", (kind,), table(train))
        found, numbers = side.encode(table(rows))
    except InputError as error:
        assert "\n" not in str(error)
        assert "'x" in str(error)
        return
    assert found.shape == (len(rows), side.width)
    assert numbers.shape == (len(rows), side.n_numbers)
    assert ((found >= -1) & (found < max(side.n_values, 1))).all()
    assert np.isfinite(numbers).all()
