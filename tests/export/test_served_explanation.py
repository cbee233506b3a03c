import functools
import itertools
import json
import math
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.evaluation import explain
from tfrec_fusion.export import Recommender, export, refresh
from tfrec_fusion.features import State
from tfrec_fusion.features.item_trend import ItemTrend
from tfrec_fusion.models import TwoTower
from tfrec_fusion.models.explained.hidden_inputs import HiddenInputs
from tfrec_fusion.models.explained.shares import share_output
from tfrec_fusion.optimizers import adam

# name -> (whether events have times, options of the model); the shop's own is "gate"
MODELS = {
    "sum": (True, {"fusion": "sum"}),
    "null_space": (True, {"fusion": "null_space", "trend": False}),
    "no times": (False, {"use_ids": False, "user": "both"}),
    "id only": (True, {"vectors": [], "user": "both"}),
    "three inputs": (True, {"initial": True, "whitening_dim": None}),
}


@pytest.fixture(scope="module")
def explained(make_shop_events, make_model, model, events, explaining, tmp_path_factory):
    """A function from "gate" or a name of MODELS to model, events and the exported version."""
    folder = tmp_path_factory.mktemp("explained")

    @functools.cache
    def explained(name):
        if name == "gate":
            return model, events, explaining
        times, options = MODELS[name]
        its_events = make_shop_events(times)
        its_model = make_model(its_events, **options)
        base = folder / name.replace(" ", "-")
        return (
            its_model,
            its_events,
            export(its_model, its_events, base, deployment=False, explain=True),
        )

    return explained


def _pairs(events, count=200):
    """Users and items at random; some users are unknown."""
    rng = np.random.default_rng(2)
    users = [*events.users.ids, "nobody", ""]
    items = events.catalogue.vocabulary.ids
    chosen = [users[i] for i in rng.integers(0, len(users), count)]
    return chosen, [items[i] for i in rng.integers(0, len(items), count)]


def _ask(version, users, items, histories=None):
    """The answer of `explain` of a version that is loaded anew."""
    histories = [[""]] * len(users) if histories is None else histories
    explain = tf.saved_model.load(str(version)).signatures["explain"]
    inputs = {"user_id": tf.constant(users), "item_id": tf.constant(items)}
    inputs["history"] = tf.constant(histories)
    if "history_age" in explain.structured_input_signature[1]:  # of models with times
        inputs["history_age"] = tf.zeros([len(users), 0])
    return {name: value.numpy() for name, value in explain(**inputs).items()}


def _added(answer):
    return sum(value for name, value in answer.items() if name != "score")


@pytest.mark.parametrize(
    "name", ["gate", *(pytest.param(name, marks=pytest.mark.slow) for name in MODELS)]
)
def test_shares_are_those_of_the_model(explained, name):
    model, events, version = explained(name)
    users, items = _pairs(events)
    expected = explain(model, events, users, items, nearest=0)
    answer = _ask(version, users, [[item] for item in items])
    inputs = HiddenInputs(model).inputs
    assert set(answer) == {"score", "bias", *map(share_output, inputs)}
    for column in ("score", "bias", *inputs):
        found = answer[share_output(column) if column in inputs else column]
        assert found.dtype == np.float32
        np.testing.assert_allclose(found[:, 0], expected[column], rtol=0, atol=1e-4)
    np.testing.assert_allclose(_added(answer), answer["score"], rtol=0, atol=1e-5)
    scored = tf.saved_model.load(str(version)).signatures["score"](
        user_id=tf.constant(users), item_id=tf.constant([[item] for item in items])
    )
    np.testing.assert_allclose(answer["score"], scored["score"], rtol=0, atol=1e-6)


def _by_loops(model, events, user, history, item):
    """Shares of one pair, the history bought now: v of all subsets, then all orders of inputs."""
    sides, vocabulary = HiddenInputs(model), events.catalogue.vocabulary
    state = State.of(events)
    (features, _), seen, now = state.item_features(model.spec), state.seen, state.time
    rows = vocabulary.rows([item, *history])
    if rows[0] < 0 and features.shape[1]:
        features = np.concatenate([features, ItemTrend(events).unseen(now)[None]])
    features = features[rows]
    seen = tf.constant(np.where(rows < 0, False, seen[rows]))
    past = np.arange(1, len(rows))
    values = {}
    for size in range(len(sides.inputs) + 1):
        for hidden in itertools.combinations(sides.inputs, size):
            fused = sides.fuse(rows, seen, hidden)
            items = sides.item_vectors(fused, tf.constant(rows), features, seen, hidden)
            zeros = np.zeros(len(past), np.float32)
            left = sides.user_vectors(
                events.users.rows([user]),
                tf.gather(fused, past),
                rows[past],
                zeros.astype(np.int32),
                zeros,
                hidden,
            )
            shown = frozenset(sides.inputs) - set(hidden)
            values[shown] = float(tf.reduce_sum(left[0] * items[0]))
    found = {"score": values[frozenset(sides.inputs)], "bias": values[frozenset()]}
    for name in sides.inputs:
        gains = []
        for order in itertools.permutations(sides.inputs):
            before = frozenset(order[: order.index(name)])
            gains.append(values[before | {name}] - values[before])
        found[share_output(name)] = math.fsum(gains) / len(gains)
    return found


@pytest.mark.parametrize("name", ["gate", pytest.param("sum", marks=pytest.mark.slow)])
def test_request_histories_and_unknown_ids(explained, name):
    """Only ids that are known count, each once; an unknown item is one without anything."""
    model, events, version = explained(name)
    ids = events.catalogue.vocabulary.ids
    history = [ids[3], ids[8], ids[39]]
    users, item = ["nobody", events.users.ids[2]], [ids[5], "no such item", ""]
    padded = ["", history[0], "gone", history[1], history[0], history[2]]
    answer = _ask(version, users, [item] * 2, [padded] * 2)
    for row, user in enumerate(users):
        for column, one in enumerate(item):
            expected = _by_loops(model, events, user, history, one)
            found = {key: value[row, column] for key, value in answer.items()}
            assert found == pytest.approx(expected, abs=1e-4)


@pytest.mark.slow
def test_any_number_of_users_and_items(explained):
    _, events, version = explained("gate")
    ids = events.catalogue.vocabulary.ids
    for users, items in (([], 3), (["nobody"], 0), (["nobody", events.users.ids[0]], 5)):
        listed = np.resize(ids, (len(users), items)).astype(object)
        histories = np.zeros((len(users), 0), object)
        served = tf.saved_model.load(str(version)).signatures["explain"]
        answer = served(
            user_id=tf.constant(users, tf.string),
            history=tf.constant(histories, tf.string),
            history_age=tf.zeros([len(users), 0]),
            item_id=tf.constant(listed, tf.string),
        )
        assert {value.shape for value in answer.values()} == {(len(users), items)}


@pytest.mark.slow
def test_a_process_without_this_package(explained, tmp_path):
    _, events, version = explained("null_space")
    users, items = _pairs(events, 20)
    inputs = {
        "user_id": np.array(users, object),
        "history": np.full((20, 1), "", object),
        "history_age": np.zeros((20, 1), np.float32),
        "item_id": np.array(items, object)[:, None],
    }
    (tmp_path / "requests").write_bytes(pickle.dumps([(str(version), "explain", inputs)]))
    script = Path(__file__).parents[1] / "fixtures" / "clean_process.py"
    command = [sys.executable, script, tmp_path / "requests", tmp_path / "answers"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (answer,) = pickle.loads((tmp_path / "answers").read_bytes())
    expected = _ask(version, users, [[item] for item in items])
    for name, value in expected.items():
        np.testing.assert_allclose(answer[name], value, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "precision",
    [
        pytest.param("int8", marks=pytest.mark.acceptance),
        pytest.param("bfloat16", marks=pytest.mark.acceptance),
    ],
)
def test_fewer_bytes(explained, precision, tmp_path):
    model, events, version = explained("gate")
    smaller = export(
        model, events, tmp_path / "shop", deployment=False, explain=True, precision=precision
    )
    users, items = _pairs(events)
    items = [[item] for item in items]
    full, answer = _ask(version, users, items), _ask(smaller, users, items)
    np.testing.assert_allclose(_added(answer), answer["score"], rtol=0, atol=1e-5)
    for name, value in full.items():
        error = np.abs(answer[name] - value)
        assert error.mean() < 0.02 * np.abs(full["score"]).mean(), name
    sizes = [Recommender(one).card["explain"] for one in (smaller, version)]
    # Ids and texts: two tables of 41 vectors of 8 numbers and one vector, with a scale a row in
    # int8; 41 biases and the 4 neutral columns.
    rest, vectors = 4 * (41 + 4), 83
    assert sizes[1] == rest + vectors * 8 * 4
    assert sizes[0] == rest + vectors * {"int8": 8 + 4, "bfloat16": 8 * 2}[precision]


@pytest.mark.slow
def test_the_card_and_a_refresh(explained, tmp_path):
    model, events, _ = explained("sum")
    version = export(model, events, tmp_path / "shop", deployment=False, explain=True)
    described = Recommender(version).card["signatures"]["explain"]
    assert list(described["inputs"]) == ["user_id", "history", "history_age", "item_id"]
    assert list(described["outputs"]) == [
        *("score", "share_id", "share_text", "share_context", "bias")
    ]
    again = refresh(model, events, tmp_path / "shop", deployment=False)
    users, items = _pairs(events.first_events(), 50)
    expected = explain(model, events.first_events(), users, items, nearest=0)
    answer = _ask(again, users, [[item] for item in items])
    np.testing.assert_allclose(answer["share_text"][:, 0], expected["text"], rtol=0, atol=1e-4)
    without = refresh(model, events, tmp_path / "shop", deployment=False, explain=False)
    assert "explain" not in tf.saved_model.load(str(without)).signatures
    assert "explain" not in Recommender(without).card


def _events_with_vectors(names):
    items = pd.DataFrame({"item_id": ["a", "b", "c"]})
    vectors = {name: np.eye(3, dtype=np.float32) for name in names}
    frame = pd.DataFrame({"user_id": ["u", "u", "w"], "item_id": ["a", "b", "c"]})
    return Interactions.from_frame(frame, Catalogue(items, vectors))


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (
            "abcde",
            r"at most 4 vectors, .*; export this model without explain\. Received: \['a', 'b', 'c'",
        ),
        (["context"], r"the name of a vector is reserved.* Received: 'context'"),
        (["bias"], r"the name of a vector is reserved.* Received: 'bias'"),
        (["rules"], r"the name of a vector is reserved.* Received: 'rules'"),
    ],
)
def test_what_cannot_be_explained(names, says, tmp_path):
    events = _events_with_vectors(names)
    model = TwoTower(events, dim=2, whitening_dim=None)
    with pytest.raises(InputError, match=says):
        export(model, events, tmp_path / "shop", deployment=False, explain=True)
    assert not (tmp_path / "shop").exists()


def test_rankers_are_refused(ranker, tmp_path):
    model, events, _ = ranker("all")
    with pytest.raises(InputError, match="explain is for a TwoTower"):
        export(model, events, tmp_path / "rank", deployment=False, explain=True)


@pytest.mark.acceptance
def test_real_purchases(real_data, tmp_path):
    """A gated model after 40 steps: shares are the model's and add up, on 1,000 random pairs."""
    folder = real_data("retail")
    vectors = {"text": folder / "minilm_384.npy"}
    shop = Catalogue.from_parquet(folder / "items.parquet", vectors)
    events = Interactions.from_parquet(folder / "interactions.parquet", shop)
    train = events.split("temporal").train
    keras.utils.set_random_seed(0)
    model = TwoTower(train, fusion="gate")
    model.compile(adam(3e-3, steps=40))
    model.fit(train.batches(512).take(40), verbose=0)
    rng = np.random.default_rng(0)
    users = train.users.ids[rng.integers(0, len(train.users), 1000)].tolist()
    items = shop.vocabulary.ids[rng.integers(0, len(shop), 1000)].tolist()
    expected = explain(model, train, users, items, nearest=0)
    for precision, most in (("float32", 1e-4), ("int8", 0.05)):
        base = tmp_path / precision
        version = export(model, train, base, deployment=False, explain=True, precision=precision)
        answer = _ask(version, users, [[item] for item in items])
        residual = np.abs(_added(answer) - answer["score"]).max()
        apart = [
            np.abs(answer[share_output(name)][:, 0] - expected[name]).max()
            for name in ("id", "text", "context")
        ]
        low, high = answer["score"].min(), answer["score"].max()
        print(
            f"{precision}: scores from {low:.1f} to {high:.1f}, the shares' sum is off by "
            f"{residual:.1e} at most and a share by {max(apart):.1e}"
        )
        size = sum(path.stat().st_size for path in version.rglob("*") if path.is_file())
        added = json.loads((version / "model_card.json").read_text())["explain"]
        print(f"{precision}: {added:,} of {size:,} bytes are what explain adds")
        assert residual < 1e-5
        assert max(apart) < most
