import numpy as np
import pandas as pd
import pytest

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.errors import InputError
from tfrec_fusion.evaluation import explain
from tfrec_fusion.features import State
from tfrec_fusion.layers import FUSIONS
from tfrec_fusion.models import AlphaRec, TwoTower
from tfrec_fusion.times import DAY

N_USERS, N_ITEMS = 50, 40


def _events(times=True, stores=2):
    """Four items are never bought, and every fifth has no image."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "user_id": [f"u{u}" for u in rng.integers(0, N_USERS, 600)],
            "item_id": [f"i{i}" for i in rng.integers(0, N_ITEMS - 4, 600)],
        }
    )
    if times:
        frame["timestamp"] = rng.integers(0, 200 * int(DAY), 600)
    else:
        frame = frame.drop_duplicates()
    items = pd.DataFrame(
        {"item_id": [f"i{i}" for i in range(N_ITEMS)], "price": rng.uniform(1, 9, N_ITEMS)}
    )
    image = rng.normal(size=(N_ITEMS, 5)).astype(np.float32)
    vectors = {"text": rng.normal(size=(N_ITEMS, 6)).astype(np.float32), "image": image}
    events = Interactions.from_frame(frame, Catalogue(items, dict(list(vectors.items())[:stores])))
    if stores > 1:
        events.catalogue.vectors["image"].mask[::5] = False
    return events


@pytest.fixture(scope="module")
def events():
    return _events()


def _random(events, **options):
    """An untrained model with random numbers in every weight, so that each counts."""
    keras.utils.set_random_seed(3)
    model = TwoTower(events, dim=8, trend_hidden=4, whitening_dim=None, **options)
    rng = np.random.default_rng(1)
    for weight in model.trainable_weights:
        weight.assign_add(rng.normal(scale=0.3, size=weight.shape).astype(np.float32))
    return model


def _pairs(count=1000):
    rng = np.random.default_rng(2)
    users = [f"u{u}" for u in rng.integers(0, N_USERS + 2, count)]  # the last two are unknown
    return users, [f"i{i}" for i in rng.integers(0, N_ITEMS, count)]


def _adds_up(model, events, inputs):
    users, items = _pairs()
    frame = explain(model, events, users, items)
    assert list(frame) == [
        *("user_id", "item_id", "score", *inputs, "bias"),
        *("nearest_items", "nearest_cosines"),
    ]
    scores = model.scorer(State.of(events))(events.users.rows(users))
    scores = scores[np.arange(len(items)), events.catalogue.vocabulary.rows(items)]
    np.testing.assert_allclose(frame["score"], scores, rtol=0, atol=1e-4)
    np.testing.assert_allclose(frame[[*inputs, "bias"]].sum(axis=1), scores, rtol=0, atol=1e-4)
    return frame


@pytest.mark.parametrize("fusion", FUSIONS)
def test_shares_add_up_to_the_score(fusion, events):
    model = _random(events, fusion=fusion)
    frame = _adds_up(model, events, ["id", "image", "text", "context"])
    # Each input has a say.
    assert (frame[["id", "image", "text", "context", "bias"]].abs().mean() > 1e-3).all()


@pytest.mark.parametrize(
    ("options", "times", "stores", "inputs"),
    [
        ({"use_ids": False}, True, 1, ["text", "context"]),
        ({"vectors": []}, True, 1, ["id", "context"]),
        ({"user": "id"}, True, 1, ["id", "text", "context"]),
        ({"user": "both", "use_ids": False}, True, 1, ["id", "text", "context"]),
        ({}, False, 1, ["id", "text", "context"]),
    ],
    ids=["text_only", "id_only", "user_id", "both_without_item_ids", "timeless"],
)
def test_shares_add_up_for_other_models(options, times, stores, inputs):
    events = _events(times, stores)
    _adds_up(_random(events, **options), events, inputs)


def test_an_input_that_changes_nothing_has_no_share(events):
    model = _random(events)
    model.tower.frozen["image"].kernel.assign(tf.zeros_like(model.tower.frozen["image"].kernel))
    users, items = _pairs(50)
    np.testing.assert_allclose(explain(model, events, users, items)["image"], 0, atol=1e-5)


def test_a_bilinear_score_is_split_in_halves():
    """One user with one earlier item, dim 1, no times: all numbers by hand.

    With a and b the id and text parts, item i is a_i + b_i and the history item j a_j + b_j. Both
    pools of one item are its vector, so the user is ((a_j + b_j) + (a_j + b_j)) / 2 = a_j + b_j.
    With a_i = 2, b_i = 3, a_j = 5, b_j = 7 and item bias .5:
    score = (2 + 3) (5 + 7) + .5 = 60.5
    id    = 2 * 5 + (2 * 7 + 3 * 5) / 2 + .5 = 10 + 14.5 + .5 = 25
    text  = 3 * 7 + 14.5 = 35.5
    The size of the history is given no weight, and nothing is left for the bias.
    """
    items = pd.DataFrame({"item_id": ["j", "i"]})
    catalogue = Catalogue(items, {"text": np.array([[7.0], [3.0]], np.float32)})
    frame = pd.DataFrame({"user_id": ["u", "w"], "item_id": ["j", "i"]})
    events = Interactions.from_frame(frame, catalogue)
    model = TwoTower(events, dim=1, whitening_dim=None, user_layer=True)
    model.tower.ids.table.assign([[5.0], [2.0]])
    model.tower.frozen["text"].kernel.assign([[1.0]])
    model.user_tower.to_user.kernel.assign([[0.5], [0.5], [0.0], [0.0]])
    model.bias.assign([0.25, 0.5])
    shares = explain(model, events, "u", "i").iloc[0]
    assert shares["score"] == pytest.approx(60.5)
    assert shares["id"] == pytest.approx(25.0)
    assert shares["text"] == pytest.approx(35.5)
    assert shares["context"] == pytest.approx(0.0)
    assert shares["bias"] == pytest.approx(0.0)


def test_nearest_items_of_the_history():
    """u had a to d; e points as b does (cosine 1) and is 45 degrees from a; d has no vector."""
    items = pd.DataFrame({"item_id": list("abcdef")})
    vectors = np.array([[1, 1], [0, 2], [-1, 0], [9, 9], [0, 1], [1, 0]], np.float32)
    catalogue = Catalogue(items, {"text": vectors})
    catalogue.vectors["text"].mask[3] = False
    frame = pd.DataFrame({"user_id": ["u"] * 4 + ["w"] * 2, "item_id": list("abcdef")})
    events = Interactions.from_frame(frame, catalogue)
    model = TwoTower(events, dim=2, whitening_dim=None)
    result = explain(model, events, ["u", "u", "nobody", "u"], ["e", "d", "e", "a"], nearest=2)
    assert result["nearest_items"].tolist() == [["b", "a"], [], [], ["b", "c"]]
    assert result["nearest_cosines"][0] == pytest.approx([1, 0.5**0.5])
    # A pair's own item is not named: b is at 45 degrees from a, and c at 135.
    assert result["nearest_cosines"][3] == pytest.approx([0.5**0.5, -(0.5**0.5)])


@pytest.mark.slow
def test_integrated_gradients_leave_a_residual(events):
    """Why shares are Shapley values: under `gate`, integrated gradients only approach the score.

    Ids and vectors of both sides are scaled by t from 0 to 1. The midpoint sum of the derivative by
    t is off the change of the score by what this prints, at most over 200 pairs; and at t = 0 the
    score is not that of missing inputs, as a gate gives no share to what is missing.
    """
    model = _random(events, fusion="gate")
    ids, names = _pairs(200)
    users, rows = events.users.rows(ids), events.catalogue.vocabulary.rows(names)
    everything = tf.range(N_ITEMS)
    state = State.of(events)
    features, seen = state.item_features(model.spec)[0], state.seen
    inputs, masks = model.tower.inputs(everything, tf.constant(seen))
    past, owners, ages = state.flat_histories(users)

    def score(t):
        fused = model.tower.fusion({name: x * t for name, x in inputs.items()}, masks)
        left = model.user_vectors(users, tf.gather(fused, past), past, owners, ages)
        right = model.item_side(fused, everything, features, tf.constant(seen))
        return tf.reduce_sum(left * tf.gather(right, rows), 1)

    def residual(steps):
        total = tf.zeros(len(rows))
        for t in (np.arange(steps, dtype=np.float32) + 0.5) / steps:
            t = tf.constant(t)
            with tf.autodiff.ForwardAccumulator(t, tf.ones([])) as forward:
                value = score(t)
            total += forward.jvp(value) / steps
        return np.abs(total - (score(1.0) - score(0.0))).max()

    frame = explain(model, events, ids, names)
    exact = np.abs(frame["score"] - frame[["id", "image", "text", "context", "bias"]].sum(axis=1))
    print(f"Shapley {exact.max():.1e}; " + ", ".join(f"IG {n}: {residual(n):.1e}" for n in (8, 32)))
    assert exact.max() < 1e-4 < residual(8)


@pytest.mark.parametrize(
    ("users", "items", "options", "says"),
    [
        ("u1", "nothing", {}, "items: the catalogue has no item 'nothing'"),
        (["u1", "u2"], ["i1", "i2", "i3"], {}, "2 users and 3 items"),
        ("u1", "i1", {"store": "sound"}, r"store: must be one of .* Received: 'sound'"),
        ("u1", "i1", {"nearest": -1}, "nearest must be 0 or more"),
    ],
)
def test_bad_arguments(events, users, items, options, says):
    model = TwoTower(events, dim=2)
    with pytest.raises(InputError, match=says) as error:
        explain(model, events, users, items, **options)
    assert "\n" not in str(error.value)


def test_other_models_are_refused(events):
    with pytest.raises(
        InputError, match=r"TwoTower of first events or a Blend.* Received: AlphaRec"
    ):
        explain(AlphaRec(events, dim=2), events, "u1", "i1")


def test_one_user_or_one_item_for_all_pairs(events):
    model = TwoTower(events, dim=2)
    frame = explain(model, events, "u1", ["i1", "i2"])
    assert frame["user_id"].tolist() == ["u1", "u1"]
    assert frame["item_id"].tolist() == ["i1", "i2"]
    assert explain(model, events, ["u1", "u2"], "i1")["item_id"].tolist() == ["i1", "i1"]
    assert len(explain(model, events, [], [])) == 0
