"""Features of requests are encoded without texts and float64 as they are with them."""

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrec_fusion._compat import tf
from tfrec_fusion.features import Category, Cross, Number, RowEncoder, Side, Tags, Time
from tfrec_fusion.features.request_encoder import RequestEncoder

TRAIN = pd.DataFrame(
    {
        "country": ["de", "fr", "de", "é\U0001f600"],
        "genres": [["b", "a"], ["b"], ["c", "b", "a"], None],
        "age": [20.0, 0.0, 40.0, 10.0],
        "since": [1.6e9, 1.7e9, 1.65e9 + 0.25, None],
    }
)
SIDE = Side.fit(
    "interactions",
    (
        Category(column="country"),
        Category(column="country", hash_buckets=7),
        Category(column="country", min_count=2),
        Tags(column="genres", most=2),
        Number(column="age"),
        Number(column="age", scale="log"),
        Number(column="age", scale="quantile", bins=3),
        Time(column="since"),
        Cross(column="both", of=("country", "age"), hash_buckets=11),
    ),
    TRAIN,
)
TEXTS, ROWS = RequestEncoder(SIDE), RowEncoder(SIDE)
GRAPHS = [
    tf.function(lambda encoder=encoder, **given: encoder(given)).get_concrete_function(
        **{one.name: tf.TensorSpec(one.sizes, one.dtype, one.name) for one in encoder.inputs}
    )
    for encoder in (TEXTS, ROWS)
]

_TEXTS = st.sampled_from(["", "de", "fr", "é\U0001f600", "new", "20"])
_NUMBERS = st.one_of(st.sampled_from([np.nan, np.inf, 9.99, 20.0, 1e39]), st.floats(-1e6, 1e6))
_TIMES = st.one_of(
    st.just(np.nan), st.integers(-(10**10), 10**10).map(float), st.just(1e15), st.just(-1e300)
)
_TAGS = st.lists(st.sampled_from(["a", "b", "c", "", "new"]), min_size=3, max_size=3)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(_TEXTS, _TAGS, _NUMBERS, _TIMES, _TEXTS), min_size=1, max_size=5))
def test_rows_encode_as_texts(requests):
    country, genres, age, since, age_text = zip(*requests, strict=True)
    request = {
        "country": np.array(country, object),
        "genres": np.array(genres, object),
        "age_number": np.array(age),
        "age_text": np.array(age_text, object),
        "since": np.array(since),
    }
    rows = ROWS.rows_of(request)
    assert {n: v.dtype.name for n, v in rows.items()} == {
        one.name: one.dtype for one in ROWS.inputs
    }
    expected = GRAPHS[0](**{name: tf.constant(value) for name, value in request.items()})
    found = GRAPHS[1](**{name: tf.constant(value) for name, value in rows.items()})
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-5, atol=2e-6)


def test_names_and_rows_by_hand():
    """country: de 0, fr 1, é 2; of those with two rows only de."""
    names = ["country", "country_2", "country_3", "genres", "age_number", "since", "both"]
    assert [one.name for one in ROWS.inputs] == names
    assert ROWS.vocabularies == {
        "country": ("de", "fr", "é\U0001f600"),
        "country_3": ("de",),
        "genres": ("b", "a", "c"),
    }
    rows = ROWS.rows_of(
        {
            "country": np.array(["fr", "new", ""], object),
            "genres": np.array([["a", "b"], ["new", ""], ["", ""]], object),
            "age_number": np.array([1.5, np.nan, np.nan]),
            "age_text": np.array(["1", "1", "1"], object),
            "since": np.array([1.7e9, np.nan, np.nan]),
        }
    )
    assert rows["country"].tolist() == [1, -1, -2]
    assert rows["country_3"].tolist() == [-1, -1, -2]
    assert rows["genres"].tolist() == [[1, 0], [-1, -1], [-1, -1]]
    assert rows["since"].tolist() == [1_700_000_000, -(2**63), -(2**63)]
    assert rows["both"][2] == -2 and min(rows["both"][:2]) >= 0


def test_inputs_do_not_take_the_names_of_a_ranker():
    side = Side.fit("interactions", (Category(column="user"),), pd.DataFrame({"user": ["a"]}))
    encoder = RowEncoder(side)
    assert [one.name for one in encoder.inputs] == ["user_2"] == [*encoder.vocabularies]
    assert encoder.rows_of({"user": np.array(["a", "b"], object)})["user_2"].tolist() == [0, -1]
