"""Requests that any way of loading an export has to answer as the model does.

They have unknown ids, ids that are not UTF-8, accents, CJK and emoji, empty lists and batches, and
a k beyond the catalogue.
"""

import numpy as np
import pandas as pd

from tfrec_fusion._compat import tf
from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.data.ranking_examples import item_state, padded_histories
from tfrec_fusion.data.trend import DAY, ItemTrend
from tfrec_fusion.models import Ranker

NOT_TEXT = b"\xff\xfe"
TOLERANCE = {"rtol": 1e-6, "atol": 1e-5}
BATCHES = (0, 1, 17)


def _some(rng, shape, choice):
    drawn = rng.integers(0, len(choice), shape)
    found = np.empty(shape, object)
    found.reshape(-1)[:] = [choice[i] for i in np.ravel(drawn)]
    return found


def _decoded(ids):
    found = np.empty(ids.shape, object)
    found.reshape(-1)[:] = [
        i.decode("utf-8", "replace") if isinstance(i, bytes) else i for i in ids.reshape(-1)
    ]
    return found


def two_tower_requests(reference):
    """[(signature, inputs)] of every signature."""
    rng = np.random.default_rng(5)
    users = ["nobody", "", NOT_TEXT, *reference.events.users.ids[:20]]
    items = [*reference.item_ids, "no such item", "", "", NOT_TEXT]
    n, found = len(reference.item_ids), []
    for batch in BATCHES:
        user_id = _some(rng, (batch,), users)
        found.append(("serving_default", {"user_id": user_id}))
        for history, exclude, k in [(0, 0, 5), (6, 2, n + 7)]:
            inputs = {
                "user_id": user_id,
                "history": _some(rng, (batch, history), items),
                "exclude": _some(rng, (batch, exclude), items),
                "include": _some(rng, (batch, 30 if history else 0), items),
                "exclude_seen": rng.random(batch) < 0.5,
                "k": np.full(batch, k, np.int32),
            }
            found.append(("recommend", inputs))
        for width in (0, 6):
            lists = _some(rng, (batch, width), items)
            found.append(("score", {"user_id": user_id, "item_id": lists}))
            found.append(("user_vector", {"user_id": user_id, "history": lists}))
        found.append(("item_vector", {"item_id": _some(rng, (batch,), items)}))
    return found


def check_two_tower(reference, signature, inputs, outputs):
    """Asserts that the outputs are the model's; equal scores may change places."""
    given = {name: _decoded(v) for name, v in inputs.items() if v.dtype == object}
    if signature == "item_vector":
        expected = [reference.item(item) for item in given["item_id"]]
        dim = reference.model.vector_dim
        np.testing.assert_allclose(
            outputs["vector"], np.reshape(expected, (len(expected), dim)), **TOLERANCE
        )
        return
    users = given["user_id"]
    vectors, seen = reference.users(users, given.get("history", [[]] * len(users)))
    if signature == "user_vector":
        np.testing.assert_allclose(outputs["vector"], vectors, **TOLERANCE)
    elif signature == "score":
        assert outputs["score"].shape == given["item_id"].shape
        for row, items in enumerate(given["item_id"]):
            expected = [reference.item(item) @ vectors[row] for item in items]
            np.testing.assert_allclose(outputs["score"][row], expected, **TOLERANCE)
    else:
        k = max([0, *inputs["k"]]) if "k" in inputs else 100
        k = min(k, len(reference.item_ids))
        nothing = [[]] * len(users)
        excludes, includes = given.get("exclude", nothing), given.get("include", nothing)
        if "history" in given:
            baked = reference.users(users, nothing)[1]
            seen = [
                own | (more if asked else set())
                for own, more, asked in zip(seen, baked, inputs["exclude_seen"], strict=True)
            ]
        assert outputs["score"].shape == outputs["item_id"].shape == (len(users), k)
        for row, vector in enumerate(vectors):
            ids, scores = reference.best(vector, seen[row], excludes[row], k, includes[row])
            np.testing.assert_allclose(outputs["score"][row], scores, **TOLERANCE)
            answered = [item.decode() for item in outputs["item_id"][row]]
            assert [bool(item) for item in answered] == [bool(item) for item in ids]
            own = [reference.item(item) @ vector for item in answered if item]
            np.testing.assert_allclose(outputs["score"][row][: len(own)], own, **TOLERANCE)


# name -> (whether events have times, options of the model)
RANKERS = {
    "all": (True, {"user": "both", "context": ["hour", "channel"], "categories": ["colour"]}),
    "id only": (True, {"user": "id", "vectors": [], "cross_layers": 1}),
    "no times": (False, {"fusion": "gate", "trend": False, "hidden": [8]}),
}


def ranker_events(times=True):
    """A shop with a numeric and a text context; two items are never sold."""
    rng = np.random.default_rng(3)
    items = [f"{form}{i}" for i, form in enumerate(["käse ", "商品-", "🧀,", "item"] * 8)]
    frame = pd.DataFrame(
        {
            "item_id": items,
            "price": rng.uniform(1, 50, len(items)),
            "colour": rng.choice(["rot", "grün", ""], len(items)),
        }
    )
    catalogue = Catalogue(frame, {"text": rng.normal(size=(len(items), 12)).astype(np.float32)})
    n = 400
    rows = {
        "user_id": [f"ü {u}" for u in rng.integers(0, 25, n)],
        "item_id": [items[i] for i in rng.integers(0, len(items) - 2, n)],
        "hour": rng.integers(0, 24, n),
        "channel": rng.choice(["web", "Läden", ""], n),
    }
    if times:
        rows["timestamp"] = 1.6e9 + rng.uniform(0, 300 * DAY, n)
    return Interactions.from_frame(pd.DataFrame(rows), catalogue, duplicates="first")


def random_ranker(events, options):
    """An untrained ranker with random numbers in every weight, so that each counts."""
    rng = np.random.default_rng(7)
    model = Ranker(events, **{"dim": 8, "hidden": [16, 8], **options})
    for weight in model.trainable_weights:
        weight.assign_add(rng.normal(scale=0.2, size=weight.shape).astype(np.float32))
    return model


def _example(row):
    def texts(values):
        values = [v if isinstance(v, bytes) else v.encode() for v in values]
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))

    feature = {
        name: tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
        if isinstance(value, float)
        else texts(value if isinstance(value, list) else [value])
        for name, value in row.items()
    }
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


def ranker_requests(model, events):
    """[(signature, inputs, what the model is to be asked)] of every signature."""
    rng = np.random.default_rng(5)
    users = ["nobody", "", NOT_TEXT, *events.users.ids[:20]]
    items = [*events.catalogue.vocabulary.ids, "no such item", "", NOT_TEXT]
    found = []
    for batch in BATCHES:
        base = {"user_id": _some(rng, (batch,), users)}
        if model.spec.context_numbers:
            base["hour"] = rng.choice([3.0, 23.0, np.nan], batch).astype(np.float32)
        if model.spec.context_categories:
            base["channel"] = _some(rng, (batch,), ["web", "Läden", "?", ""])
        none = np.empty((batch, 0), object)
        for width in (0, 5):
            inputs = {**base, "item_id": _some(rng, (batch, width), items)}
            found.append(("serving_default", inputs, {**inputs, "history": none}))
        for width in (0, 7):
            inputs = {
                **base,
                "item_id": _some(rng, (batch, 6), items),
                "history": _some(rng, (batch, width), [*items, "", "", ""]),
            }
            found.append(("score", inputs, inputs))
        if batch == 0:
            continue
        full = {**base, "item_id": _some(rng, (batch, 1), items)}
        history = _some(rng, (batch, 3), items)
        names = [name for name in full if name != "item_id"]
        rows = []
        for row in range(batch):
            values = {name: full[name][row] for name in names}
            values = {n: float(v) if n == "hour" else v for n, v in values.items()}
            given = {**values, "item_id": full["item_id"][row, 0], "history": [*history[row]]}
            rows.append(_example(given))
        examples = {"inputs": np.array(rows, object)}
        for signature in ("classify", "regress"):
            found.append((signature, examples, {**full, "history": history}))
    bare = np.array([_example({"item_id": items[0]})], object)
    asked = {
        "user_id": np.array([""], object),
        "item_id": np.array([[items[0]]], object),
        "history": np.empty((1, 0), object),
        "hour": np.array([np.nan], np.float32),
        "channel": np.array([""], object),
    }
    context = {*model.spec.context_numbers, *model.spec.context_categories}
    asked = {n: v for n, v in asked.items() if n in context | {"user_id", "item_id", "history"}}
    found.append(("regress", {"inputs": bare}, asked))
    return found


def ranker_batch(events, asked):
    """What the model reads of what it is asked."""
    given = {n: _decoded(v) if v.dtype == object else v for n, v in asked.items()}
    vocabulary = events.catalogue.vocabulary
    users = events.users.rows(given.pop("user_id"))
    items = vocabulary.rows(given.pop("item_id").reshape(-1)).reshape(asked["item_id"].shape)
    lists = given.pop("history")
    features, seen, now = item_state(events)
    unseen = np.full(features.shape[1], np.nan) if now is None else ItemTrend(events).unseen(now)
    features = np.append(features, unseen[None], 0).astype(np.float32)
    histories = events.histories()
    rows, ages = [], []
    for user, history in zip(users, lists, strict=True):
        if any(history != ""):
            own = list(dict.fromkeys(r for r in vocabulary.rows(history) if r >= 0))
            row, age = np.full(64, -1, np.int32), np.zeros(64, np.float32)
            row[64 - len(own) :] = own
        else:
            row, age = (v[0] for v in padded_histories(histories, [user], 64, now))
        rows.append(row)
        ages.append(age)
    return {
        "user": tf.constant(users, tf.int32),
        "item": tf.constant(items, tf.int32),
        "history": tf.constant(np.reshape(rows, (len(users), 64)), tf.int32),
        "history_age": tf.constant(np.reshape(ages, (len(users), 64)), tf.float32),
        "item_features": tf.constant(features[items]),
        "item_seen": tf.constant(np.append(seen, False)[items]),
        **{name: tf.constant(value) for name, value in given.items()},
    }


def ranker_logits(model, events, asked):
    """The model's own logits `[B, N]`."""
    return model(ranker_batch(events, asked)).numpy()


def check_ranker(logits, signature, outputs):
    """Asserts that the outputs are the model's."""
    probability = 1 / (1 + np.exp(-logits))
    if signature == "classify":
        assert outputs["classes"].tolist() == [[b"0", b"1"]] * len(logits)
        both = np.concatenate([1 - probability, probability], 1)
        np.testing.assert_allclose(outputs["scores"], both, **TOLERANCE)
    elif signature == "regress":
        np.testing.assert_allclose(outputs["outputs"], probability[:, 0], **TOLERANCE)
    else:
        np.testing.assert_allclose(outputs["score"], logits, **TOLERANCE)
        np.testing.assert_allclose(outputs["probability"], probability, **TOLERANCE)
