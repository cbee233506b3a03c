"""`recommend` of an export, string ids in and out, against only the top-k with the same masks."""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from harness import Claim, Options, interleave, main, p50

from tfrec_fusion._compat import tf
from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.export import export
from tfrec_fusion.models import TwoTower
from tfrec_fusion.retrieval import exact_top_k

DIM, K = 64, 100
PEER = "exact_top_k with the same masks"
N_CATEGORIES, N_BRANDS, N_INCLUDED, N_EXCLUDED = 50, 2000, 1000, 10


def shop(n_items: int, n_events: int) -> Interactions:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "item_id": np.char.add("item ", np.arange(n_items).astype(str)).astype(object),
            "category": _names("category ", rng.integers(0, N_CATEGORIES, n_items)),
            "brand": _names("brand ", rng.integers(0, N_BRANDS, n_items)),
            "price": rng.uniform(1, 100, n_items),
        }
    )
    catalogue = Catalogue(frame)
    events = pd.DataFrame(
        {
            "user_id": _names("user ", rng.integers(0, n_events // 40, n_events)),
            "item_id": frame["item_id"].to_numpy()[rng.integers(0, n_items, n_events)],
            "timestamp": rng.uniform(1.6e9, 1.63e9, n_events),
        }
    )
    return Interactions.from_frame(events, catalogue, duplicates="first")


def asks(loaded, users: tf.Tensor):
    """A function that asks the default signature of a loaded export for lists of users."""
    function = loaded.signatures["serving_default"]
    return lambda: function(user_id=users)["item_id"].numpy()


def rules(events: Interactions) -> dict:
    first = events.catalogue.vocabulary.ids[:3]
    return {
        "boost": [{"match": {"category": "category 1"}, "factor": 1.5}],
        "block": [{"match": {"category": "category 2"}}],
        "pin": [{"item": item, "position": 3 * place + 1} for place, item in enumerate(first)],
        "cap": [{"by": "brand", "at_most": 2}],
    }


def claims(options: Options):
    n_items = options.size(1_000_000, 1_000_000, 20_000)
    events = shop(n_items, options.size(4_000_000, 1_000_000, 40_000))
    model = TwoTower(events, dim=DIM - 9, trend_dim=8, vectors=[])
    assert model.vector_dim == DIM
    with tempfile.TemporaryDirectory() as folder:
        yield from _claims(options, model, events, Path(folder))


def _claims(options: Options, model, events: Interactions, folder: Path):
    n_items, filters = len(events.catalogue), ["category", "price"]
    plain = _load(export(model, events, folder / "plain", deployment=False))
    filtered = _load(export(model, events, folder / "filtered", deployment=False, filters=filters))
    ruled = _load(export(model, events, folder / "ruled", deployment=False, rules=rules(events)))
    rng = np.random.default_rng(1)
    ids = events.catalogue.vocabulary.ids
    vectors = [
        plain.signatures["item_vector"](item_id=tf.constant(part))["vector"].numpy()
        for part in np.array_split(ids, 20)
    ]
    vectors = tf.Variable(np.concatenate(vectors), trainable=False)
    bare = tf.function(lambda users, pairs: exact_top_k(users, vectors, K, pairs), autograph=False)
    for batch in (1, 64):
        users = rng.integers(0, len(events.users), batch)
        excluded = rng.integers(0, n_items, (batch, N_EXCLUDED))
        request = {
            "user_id": tf.constant(events.users.ids[users]),
            "history": tf.fill([batch, 1], ""),
            "history_age": tf.zeros([batch, 1]),
            "exclude": tf.constant(ids[excluded]),
            "include": tf.fill([batch, 1], ""),
            "exclude_seen": tf.fill([batch], False),
            "k": tf.fill([batch], K),
        }
        unused = {
            "category": tf.fill([batch, 1], ""),
            "price_min": tf.fill([batch], float("nan")),
            "price_max": tf.fill([batch], float("nan")),
        }
        used = {
            "category": tf.constant([["", "category 1", "category 2"]] * batch),
            "price_min": tf.fill([batch], 10.0),
            "price_max": tf.fill([batch], 50.0),
        }
        included = tf.constant(ids[rng.integers(0, n_items, (batch, N_INCLUDED))])
        queries = plain.signatures["user_vector"](
            **{name: request[name] for name in ("user_id", "history", "history_age")}
        )["vector"]
        pairs = tf.constant(_masks(events, users, excluded))
        contenders = {
            PEER: lambda q=queries, p=pairs: bare(q, p)[1].numpy(),
            "recommend": _asks(plain, request),
            "filters unused": _asks(filtered, request | unused),
            "filters used": _asks(filtered, request | used),
            "include": _asks(plain, request | {"include": included}),
            "rules": _asks(ruled, request),
        }
        rows, named = contenders[PEER](), contenders["recommend"]()
        same = float((np.vectorize(lambda name: name.decode())(named) == ids[rows]).mean())
        repeat = options.size(*((60, 20, 2) if batch == 1 else (8, 4, 1)))
        timings = interleave(
            {name: p50(work, repeat) for name, work in contenders.items()}, options.rounds
        )
        what = f"top-{K} of {n_items:,} x {DIM}, batch {batch}"
        texts = {
            "recommend": "recommend",
            "filters unused": "recommend of an export with filters, none used",
            "filters used": "recommend with a filter by category and price",
            "include": f"recommend of {N_INCLUDED:,} items to choose from",
            "rules": "recommend with boosts, blocks, pins and a cap",
        }
        for name, text in texts.items():
            goal = 1.3 if batch == 1 and name in ("recommend", "filters unused") else None
            yield Claim.of(
                f"{text}: {what}, p50", PEER, timings, name, PEER, goal=goal, better="lower"
            )
        yield Claim(f"recommend: {what}: share of equal items in each place", PEER, same, 0.999)


def _load(version: Path):
    return tf.saved_model.load(str(version))


def _asks(loaded, request):
    function = loaded.signatures["recommend"]
    return lambda: function(**request)["item_id"].numpy()


def _masks(events: Interactions, users, excluded) -> np.ndarray:
    """Pairs (position, item) of histories and exclusions to mask."""
    histories = events.histories()
    pairs = [
        (place, item)
        for place, user in enumerate(users)
        for item in (*histories.of(user), *excluded[place])
    ]
    return np.array(pairs, np.int32)


def _names(prefix: str, numbers: np.ndarray) -> np.ndarray:
    names = np.array([f"{prefix}{n}" for n in range(numbers.max() + 1)], object)
    return names[numbers]


if __name__ == "__main__":
    main(claims, __doc__)
