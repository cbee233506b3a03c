"""Features of requests are encoded in a graph as those of tables are in NumPy."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrec_fusion._compat import tf
from tfrec_fusion.features import Category, Cross, Number, Side, Tags, Time, Vectors
from tfrec_fusion.features.request_encoder import RequestEncoder

TRAIN = pd.DataFrame(
    {
        "country": ["de", "fr", "de", "é\U0001f600"],
        "device": ["tv", "pc", "tv", "a b"],
        "genres": [["b", "a"], ["b"], ["c", "b", "a"], None],
        "age": [20.0, 0.1, 40.0, 9.99],
        "since": [1.6e9, 1.7e9, 1.65e9, None],
    }
)
FEATURES = (
    Category(column="country"),
    Category(column="device", min_count=2),
    Category(column="country", hash_buckets=7),
    Tags(column="genres", most=2),
    Number(column="age"),
    Number(column="age", scale="log"),
    Number(column="age", scale="raw"),
    Number(column="age", scale="quantile", bins=3),
    Time(column="since"),
    Cross(column="both", of=("country", "device"), hash_buckets=11),
)
SIDE = Side.fit("users", FEATURES, TRAIN)
ENCODER = RequestEncoder(SIDE)
SPECS = {one.name: tf.TensorSpec(one.sizes, one.dtype, one.name) for one in ENCODER.inputs}
GRAPH = tf.function(lambda **given: ENCODER(given)).get_concrete_function(**SPECS)

# A tag of a table is stripped of spaces; that of a request must equal it exactly.
_TEXTS = st.one_of(
    st.sampled_from(["", "de", "fr", "tv", "a b", "é\U0001f600", "de\0", "new"]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=4),
)
_TAGS = st.lists(st.one_of(st.sampled_from("abc"), st.just("new"), _TEXTS), max_size=5).map(
    lambda tags: [tag for tag in tags if tag == tag.strip()]
)
_NUMBERS = st.one_of(
    st.sampled_from([np.nan, np.inf, -np.inf, 0.1, 9.99, 20.0, 1e39, -1e39, 0.0, 3.5e38]),
    st.floats(),
)
_TIMES = st.one_of(st.just(np.nan), st.floats(-1e9, 9e9))


def _given(rows):
    country, device, genres, age, since = zip(*rows, strict=True)
    width = max(map(len, genres))
    return {
        "country": tf.constant(country, tf.string),
        "device": tf.constant(device, tf.string),
        "genres": tf.constant([[*g, *[""] * (width - len(g))] for g in genres], tf.string),
        "age": tf.constant(age, tf.float64),
        "since": tf.constant(since, tf.float64),
    }


def _frame(rows):
    frame = pd.DataFrame(dict(zip(TRAIN, map(list, zip(*rows, strict=True)), strict=True)))
    return frame.assign(age=frame["age"].astype(float), since=frame["since"].astype(float))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(_TEXTS, _TEXTS, _TAGS, _NUMBERS, _TIMES), min_size=1, max_size=5))
def test_a_graph_encodes_as_a_table(rows):
    expected, numbers = SIDE.encode(_frame(rows))
    found, more = GRAPH(**_given(rows))
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_allclose(more, numbers, rtol=1e-6, atol=2e-6)


def test_rows_by_hand():
    """country: de 1, fr 2, é 3; device: tv 1, others 0; tags b 0, a 1; bins by 0.1, 9.99."""
    rows, numbers = (
        part.numpy()
        for part in GRAPH(
            **_given(
                [
                    ("fr", "tv", ["a", "b", "a"], 9.99, 1.7e9),
                    ("xx", "pc", ["new"], np.nan, np.nan),
                    ("", "", [], np.inf, np.inf),
                ]
            )
        )
    )
    first = 4 + 2  # rows of the first two features
    tags, bins = first + 8, first + 8 + 3
    assert rows[:, :2].tolist() == [[2, 5], [0, 4], [-1, -1]]
    assert rows[:, 3:5].tolist() == [[tags, tags + 1], [-1, -1], [-1, -1]]
    assert rows[1:, 5].tolist() == [-1, -1]
    edges = Number(column="age", scale="quantile", bins=3).fit(TRAIN, "users").edges
    assert rows[0, 5] == bins + sum(edge < 9.99 for edge in edges)
    assert numbers[1:, [1, 3, 5, -1]].tolist() == [[1] * 4] * 2
    assert numbers[0, 4] == np.float32(9.99)


def test_a_request_overrides_only_what_it_gives():
    """The stored row is all 5s and .5s; the request gives the age alone, or the country alone."""
    stored = tf.fill([2, SIDE.width], 5), tf.fill([2, SIDE.n_numbers], 0.5)
    asked = _given([("", "", [], 20.0, np.nan), ("de", "", [], np.nan, np.nan)])
    rows, numbers = (part.numpy() for part in ENCODER.override(asked, stored))
    encoded, more = (part.numpy() for part in ENCODER(asked))
    assert rows[0].tolist() == [5, 5, 5, 5, 5, encoded[0, 5], 5]
    assert rows[1].tolist() == [1, 5, encoded[1, 2], 5, 5, 5, -1]  # the combination lacks a device
    assert numbers[0].tolist() == [*more[0, :6], *[0.5] * 8]
    assert numbers[1].tolist() == [0.5] * 14


def test_names_of_inputs():
    side = Side.fit(
        "users",
        (Category(column="Age group"), Category(column="age"), Number(column="age")),
        pd.DataFrame({"Age group": ["a"], "age": [1]}),
    )
    names = [one.name for one in RequestEncoder(side, "user_").inputs]
    assert names == ["user_Age_group", "user_age_text", "user_age_number"]
    side = Side.fit("users", (Category(column="user_kind"),), pd.DataFrame({"user_kind": ["a"]}))
    assert [one.name for one in RequestEncoder(side, "user_").inputs] == ["user_kind"]


@pytest.mark.parametrize("rows", [0, 1])
def test_no_rows_and_no_columns_of_tags(rows):
    empty = {n: tf.zeros([rows, *s.shape[1:]], s.dtype) for n, s in SPECS.items() if n != "genres"}
    found = GRAPH(**empty, genres=tf.zeros([rows, 0], tf.string))
    assert [part.shape for part in found] == [(rows, SIDE.width), (rows, SIDE.n_numbers)]


def test_vectors_are_not_asked_for_and_stay_as_stored():
    frame = pd.DataFrame({"x": ["a", "b"], "v": [[1.0, 2.0], [3.0, 0.0]]})
    raw = Vectors(column="v", whiten=False)
    side = Side.fit("users", (Category(column="x"), raw, Number(column="n")), frame.assign(n=1.0))
    encoder = RequestEncoder(side)
    assert [one.name for one in encoder.inputs] == ["x", "n"]
    given = {"x": tf.constant(["b", ""]), "n": tf.constant([1.0, np.nan], tf.float64)}
    assert encoder(given)[1].numpy().tolist() == [[0, 0, 1, 0, 0], [0, 0, 1, 0, 1]]
    stored = side.encode(frame.assign(n=1.0))
    rows, numbers = encoder.override(given, stored)
    assert rows.numpy().ravel().tolist() == [2, 2]
    assert numbers.numpy().tolist() == stored[1].tolist()
