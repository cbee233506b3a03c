"""Requests to an export give features of users."""

import numpy as np
import pandas as pd
import pytest
from featured import with_noise

from tfrec_fusion._compat import tf
from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.export import Recommender, export
from tfrec_fusion.export.reference import Reference
from tfrec_fusion.features import Category, Cross, Features, Number, State, Tags
from tfrec_fusion.models import Ranker, TwoTower
from tfrec_fusion.monitoring import as_requests, compare

N = 8
ITEMS = pd.DataFrame({"item_id": [f"i{row}" for row in range(N)]})
USERS = pd.DataFrame(
    {
        "user_id": [f"u{row}" for row in range(6)],
        "country": ["de", "fr", "de", "fr", None, "de"],
        "device": ["tv", "pc", "pc", "tv", "tv", None],
        "likes": [["a"], ["b", "a"], None, ["c"], ["b"], ["a"]],
        "age": [31.0, 64.0, None, 20.0, 45.5, 9.99],
        "visits": [1, 2, 9, 4, 7, 3],
    }
)
FEATURES = Features(
    user=[
        Category(column="country"),
        Tags(column="likes"),
        Number(column="age"),
        Number(column="visits", scale="quantile", bins=3),
        Cross(column="where", of=("country", "device"), hash_buckets=50),
    ]
)


def _events(users=USERS):
    frame = pd.DataFrame(
        {
            "user_id": [f"u{row}" for row in range(6) for _ in range(2)],
            "item_id": [f"i{(3 * row + more) % N}" for row in range(6) for more in range(2)],
            "timestamp": 1.7e9 + 86_400.0 * np.arange(12),
        }
    )
    return Interactions.from_frame(frame, Catalogue(ITEMS), users=users)


@pytest.fixture(scope="module")
def model():
    return with_noise(TwoTower(_events(), dim=4, features=FEATURES))


@pytest.fixture(scope="module")
def version(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("shop")
    return export(model, _events(), folder, deployment=False, explain=True)


@pytest.fixture(scope="module")
def signatures(version):
    return tf.saved_model.load(str(version)).signatures


def _given(rows, **given):
    """Neutral values but for those given."""
    return {
        "user_country": tf.constant(given.get("country", [""] * rows)),
        "user_device": tf.constant(given.get("device", [""] * rows)),
        "user_likes": tf.constant(given.get("likes", [[]] * rows), tf.string),
        "user_age": tf.constant(given.get("age", [np.nan] * rows), tf.float64),
        "user_visits": tf.constant(given.get("visits", [np.nan] * rows), tf.float64),
    }


def _scores(signatures, users, **given):
    items = tf.constant([ITEMS["item_id"].tolist()] * len(users))
    given = _given(len(users), **given)
    return signatures["score"](user_id=tf.constant(users), item_id=items, **given)["score"].numpy()


def _of_table(model, row, **changed):
    """Scores of the model for a user of the table, or for a new one, with other features."""
    table = USERS.copy()
    for column, value in changed.items():
        table[column] = table[column].astype(object)
        table.at[row, column] = value
    table["age"] = table["age"].astype(float)
    state = State.of(_events(table))
    return model.scorer(state)(np.array([row], np.int32))[0]


def _close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_a_request_overrides_the_features_of_a_known_user(model, signatures):
    _close(_scores(signatures, ["u0", "u1"]), [_of_table(model, 0), _of_table(model, 1)])
    _close(_scores(signatures, ["u0"], age=[9.99])[0], _of_table(model, 0, age=9.99))
    _close(
        _scores(signatures, ["u1"], country=["de"], likes=[["c", "new", "c", ""]])[0],
        _of_table(model, 1, country="de", likes=["c"]),
    )
    # The combination takes the stored device.
    _close(_scores(signatures, ["u3"], country=["de"])[0], _of_table(model, 3, country="de"))
    _close(_scores(signatures, ["u5"], device=["pc"])[0], _of_table(model, 5, device="pc"))


def test_a_request_describes_a_new_user(model, signatures):
    """As a user of the table without events."""
    more = pd.DataFrame([["new", "fr", "tv", ["b"], 31.0, 9]], columns=list(USERS))
    events = _events(pd.concat([USERS, more], ignore_index=True)).with_table_users()
    row = events.users.rows(["new"]).astype(np.int32)
    expected = model.scorer(State.of(events))(row)[0]
    asked = {"country": ["fr"], "device": ["tv"], "likes": [["b"]]} | {
        "age": [31.0],
        "visits": [9.0],
    }
    _close(_scores(signatures, ["a stranger"], **asked)[0], expected)
    assert np.abs(_scores(signatures, ["a stranger"])[0] - expected).max() > 0.01


def test_all_signatures_take_them(signatures):
    users, items = tf.constant(["u0"]), tf.constant([ITEMS["item_id"].tolist()])
    given = _given(1, age=[64.0])
    scores = _scores(signatures, ["u0"], age=[64.0])[0]
    history = tf.fill([1, 0], "")
    given["history_age"] = tf.zeros([1, 0])
    vector = signatures["user_vector"](user_id=users, history=history, **given)["vector"]
    of_items = signatures["item_vector"](item_id=items[0])["vector"]
    _close(tf.linalg.matvec(of_items, vector[0]), scores)
    explained = signatures["explain"](user_id=users, history=history, item_id=items, **given)
    _close(explained["score"][0], scores)
    shares = [value for name, value in explained.items() if name != "score"]
    _close(tf.add_n(shares)[0], scores)
    best = signatures["recommend"](
        user_id=users,
        history=history,
        exclude=history,
        include=history,
        exclude_seen=tf.constant([False]),
        k=tf.constant([N]),
        **given,
    )
    ids = [one.decode() for one in best["item_id"][0].numpy() if one]
    assert ids == [f"i{row}" for row in np.argsort(-scores, kind="stable") if row not in (0, 1)]
    assert list(signatures["serving_default"].structured_input_signature[1]) == ["user_id"]


def test_a_recommender_takes_them_or_leaves_them(version, signatures):
    shop = Recommender(version)
    names = ("country", "likes", "age", "visits", "device")
    assert shop.features == tuple(f"user_{name}" for name in names)
    plain = dict(shop.recommend("u0", k=N))
    _close([plain[f"i{row}"] for row in range(2, N)], _scores(signatures, ["u0"])[0, 2:])
    given = dict(shop.recommend("u0", k=N, features={"user_age": 64, "user_likes": ["b"]}))
    expected = _scores(signatures, ["u0"], age=[64.0], likes=[["b"]])[0, 2:]
    _close([given[f"i{row}"] for row in range(2, N)], expected)
    for features, says in (
        ({"age": 3}, "the export has no feature 'age'. Its features: "),
        ({"user_age": "3"}, "user_age must be a number. Received: '3'"),
        ({"user_likes": "b"}, "user_likes must be a list"),
        ({"user_country": 3}, "user_country must hold strings. Received: 3"),
    ):
        with pytest.raises(InputError, match=says):
            shop.recommend("u0", features=features)


def test_an_input_of_a_taken_name_is_refused(tmp_path):
    table = USERS[["user_id"]].assign(id=["a", "b"] * 3)
    events = _events(table)
    model = TwoTower(events, dim=4, features={"user": [{"kind": "category", "column": "id"}]})
    with pytest.raises(InputError, match=r"users: id needs the input 'user_id', which .* rename"):
        export(model, events, tmp_path / "shop", deployment=False)


@pytest.fixture(scope="module")
def ranker():
    return with_noise(Ranker(_events(), dim=4, hidden=[4], features=FEATURES))


@pytest.fixture(scope="module")
def ranked(ranker, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranker")
    return export(ranker, _events(), folder, deployment=False)


@pytest.mark.slow
def test_a_ranker_takes_them(ranker, ranked):
    signatures = tf.saved_model.load(str(ranked)).signatures
    items = tf.constant([ITEMS["item_id"].tolist()])
    nothing = {"history": tf.fill([1, 0], ""), "history_age": tf.zeros([1, 0])}
    user = {"user_id": tf.constant(["u3"]), "item_id": items}
    for given in ({}, {"country": ["de"], "age": [9.99], "likes": [["b", "a"]]}):
        changed = {name: value[0] for name, value in given.items()}
        expected = _of_table(ranker, 3, **changed)
        asked = _given(1, **given)
        _close(signatures["score"](**user, **nothing, **asked)["score"][0], expected)
        _close(signatures["serving_default"](**user, **asked)["score"][0], expected)
    features = {
        name: tf.train.Feature(bytes_list=tf.train.BytesList(value=value))
        for name, value in {
            "user_id": [b"u3"],
            "item_id": [b"i6"],
            "user_country": [b"de"],
            "user_likes": [b"b", b"a"],
        }.items()
    }
    features["user_age"] = tf.train.Feature(float_list=tf.train.FloatList(value=[9.99]))
    example = tf.train.Example(features=tf.train.Features(feature=features))
    answer = signatures["regress"](inputs=tf.constant([example.SerializeToString()]))
    _close(answer["outputs"][0], 1 / (1 + np.exp(-expected[6])))


@pytest.mark.acceptance
def test_onnx_takes_them(tmp_path):
    from tfrec_fusion.export.onnx_export import export_onnx

    for hashed in (False, True):
        features = FEATURES if hashed else Features(user=FEATURES.user[:-1])
        model = with_noise(TwoTower(_events(), dim=4, features=features))
        version = export(model, _events(), tmp_path / f"shop{hashed}", deployment=False)
        if hashed:
            left_out = export_onnx(version, tmp_path / f"onnx{hashed}")
            assert "ONNX has no operation for StringToHashBucketFast" in left_out["score"]
        else:
            assert export_onnx(version, tmp_path / f"onnx{hashed}") == {}


def test_monitoring_knows_the_columns_of_users(version):
    """Three of five countries are "de", and the one that is given is; most requests give none."""
    reference = Reference.load(version)
    assert reference.features["user_country"].values == ["de", "fr"]
    assert reference.features["user_country"].counts == [3, 2, 0, 0]
    assert sorted(reference.features) == sorted(reference.optional)
    given = {
        "user_country": ["de", "", ""],
        "user_age": [31.0, None, None],
        "user_device": [""] * 3,
    }
    given |= {"user_visits": [None] * 3, "user_likes": [["a"], [], []]}
    frame = as_requests(pd.DataFrame({"user_id": ["u0", "new", "new"]} | given))
    report = compare(version, frame, min_rows=1)
    rows = {name: report.figure(f"feature_psi.user_{name}").rows for name in ("country", "age")}
    assert rows == {"country": 1, "age": 1}
    assert report.figure("feature_psi.user_visits").rows == 0
    assert report.figure("feature_psi.user_device").rows == 0
    p, q = np.array([3.5, 2.5]) / 6, np.array([1.5, 0.5]) / 2
    psi = float(np.sum((p - q) * np.log(p / q)))
    assert report.figure("feature_psi.user_country").value == pytest.approx(psi)
    assert not any("lacks" in note for note in report.notes)
