import functools
import importlib.util
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.data.trend import DAY, ItemTrend
from tfrec_fusion.models import TwoTower
from tfrec_fusion.models.scoring_state import item_state
from tfrec_fusion.serving import export

N_ITEMS, N_USERS, N_EVENTS = 40, 30, 300


def shop_events(times: bool = True, seed: int = 0) -> Interactions:
    """A shop whose ids have accents, spaces, commas, quotes and emoji; two items are never sold."""
    rng = np.random.default_rng(seed)
    forms = ["käse {}", "商品-{}", "🧀,{}", '"{}"', "item{}"]
    items = [forms[i % 5].format(i) for i in range(N_ITEMS)]
    frame = pd.DataFrame(
        {
            "item_id": items,
            "title": [f"Thing № {i}" for i in range(N_ITEMS)],
            "price": rng.uniform(1, 50, N_ITEMS),
        }
    )
    catalogue = Catalogue(frame, {"text": rng.normal(size=(N_ITEMS, 12)).astype(np.float32)})
    popular = rng.permutation(N_ITEMS - 2)
    columns = {
        "user_id": [f"ü {u}" for u in rng.integers(0, N_USERS, N_EVENTS)],
        "item_id": [items[popular[i]] for i in rng.geometric(0.08, N_EVENTS) % (N_ITEMS - 2)],
    }
    if times:
        columns["timestamp"] = 1.6e9 + rng.uniform(0, 300 * DAY, N_EVENTS)
    duplicates = "error" if times else "first"
    return Interactions.from_frame(pd.DataFrame(columns), catalogue, duplicates=duplicates)


def random_model(events: Interactions, initial: bool = False, **options) -> TwoTower:
    """An untrained model with random numbers in every weight, so that each counts in the scores."""
    rng = np.random.default_rng(7)
    # What a test finds must not depend on the tests before it.
    keras.utils.set_random_seed(7)
    start = None
    if initial:
        vectors = rng.normal(size=(N_ITEMS, 8)).astype(np.float32)
        start = SimpleNamespace(vectors=vectors, weights=rng.uniform(0.2, 2, N_ITEMS))

    model = TwoTower(events, initial=start, **{"dim": 8, "trend_dim": 3, **options})
    for weight in model.trainable_weights:
        noise = rng.normal(scale=0.3, size=weight.shape).astype(np.float32)
        weight.assign(tf.cast(weight, tf.float32) + noise)
    return model


# name -> (whether events have times, options of the model)
VARIANTS = {
    "sum": (True, {"fusion": "sum"}),
    "gate": (True, {"fusion": "gate"}),
    "user id": (True, {"user": "id"}),
    "user both": (True, {"user": "both"}),
    "id only": (True, {"vectors": []}),
    "text only": (True, {"use_ids": False}),
    "no trend": (True, {"trend": False}),
    "no times": (False, {}),
    "no times, user id": (False, {"user": "id"}),
    "initial": (True, {"initial": True, "whitening_dim": None}),
}


class Reference:
    """What an export must answer, by loops over the model's own `item_vectors`/`user_vectors`."""

    def __init__(self, model, events):
        self.model, self.events = model, events
        features, seen, self.now = item_state(events, model.spec)
        self.items = model.item_vectors(tf.range(len(seen)), features, seen).numpy()
        neutral = np.zeros((1, 0), np.float32)
        if model.spec.feature_names:
            neutral = ItemTrend(events).unseen(self.now)[None]
        self.unknown = model.item_vectors(tf.constant([-1]), neutral, tf.constant([False])).numpy()
        self.histories = events.histories()
        self.item_ids = events.catalogue.vocabulary.ids

    def users(self, user_ids, histories):
        """Vectors `[B, D]` and for each user the set of the history's item rows."""
        found = [self._history(*pair) for pair in zip(user_ids, histories, strict=True)]
        items = np.concatenate([np.zeros(0, np.int32), *(items for items, _ in found)])
        ages = np.concatenate([np.zeros(0, np.float32), *(ages for _, ages in found)])
        rows = np.repeat(np.arange(len(found), dtype=np.int32), [len(items) for items, _ in found])
        vectors = self.items[items, : self.model.config.dim]
        users = self.events.users.rows(user_ids)
        users = self.model.user_vectors(users, vectors, items, rows, ages).numpy()
        return users, [set(items.tolist()) for items, _ in found]

    def _history(self, user_id, history):
        given = [h for h in history if h != ""]
        if given:
            rows = self.events.catalogue.vocabulary.rows(given)
            items = np.array(list(dict.fromkeys(rows[rows >= 0].tolist())), np.int32)
            return items, np.zeros(len(items), np.float32)
        chosen = self.histories.take(self.events.users.rows([user_id]))
        if chosen.times is None:
            return chosen.items, np.zeros(len(chosen.items), np.float32)
        return chosen.items, ((self.now - chosen.times) / DAY).astype(np.float32)

    def item(self, item_id):
        row = self.events.catalogue.vocabulary.rows([item_id])[0]
        return self.items[row] if row >= 0 else self.unknown[0]

    def best(self, vector, seen, exclude=(), k=10, include=()):
        """Item ids `[k]` and scores `[k]`, padded."""
        scores = self.items @ vector
        rows = self.events.catalogue.vocabulary.rows
        out = seen | set(rows([*exclude, ""]).tolist())
        if any(item != "" for item in include):
            out |= {*range(len(scores))} - {*rows([*include]).tolist()}
        left = [i for i in np.argsort(-scores, kind="stable") if i not in out][:k]
        pad = k - len(left)
        ids = [self.item_ids[i] for i in left] + [""] * pad
        return ids, np.append(scores[left], [np.finfo(np.float32).min] * pad).astype(np.float32)


class RoundedReference(Reference):
    """As `Reference`, with all that a precision stores in fewer bytes rounded by hand."""

    def __init__(self, model, events, precision):
        super().__init__(model, events)
        self.precision, dim = precision, model.config.dim
        self.items[:, :dim] = _rounded(self.items[:, :dim], precision)
        self.items[:, dim:] = self.items[:, dim:].astype(np.float16)
        self.model = type(model).from_config(model.get_config())
        self.model.set_weights(model.get_weights())
        kernel, table = self.model.to_user.kernel, self.model.user_ids.table
        kernel.assign(kernel.numpy().astype(np.float16))
        table.assign(_rounded(table.numpy(), precision))
        oldest = np.float32((self.now - self.histories.times.min()) / DAY)
        self._step = np.log1p(oldest) / 255

    def _history(self, user_id, history):
        items, ages = super()._history(user_id, history)
        if self.precision == "int8":
            return items, np.expm1(np.rint(np.log1p(ages) / self._step) * self._step)
        return items, ages.astype(np.float16).astype(np.float32)


def _rounded(values, precision):
    if precision == "bfloat16":
        return tf.cast(tf.cast(values, tf.bfloat16), tf.float32).numpy()
    scale = np.abs(values).max(1, keepdims=True) / 127
    return np.rint(values / scale) * scale


def pytest_generate_tests(metafunc):
    if "variant" in metafunc.fixturenames:
        metafunc.parametrize("variant", VARIANTS)


@pytest.fixture(scope="session")
def make_events():
    return shop_events


@pytest.fixture(scope="session")
def make_model():
    return random_model


@pytest.fixture(scope="session")
def events():
    return shop_events()


@pytest.fixture(scope="session")
def model(events):
    return random_model(events, fusion="gate", user="both")


@pytest.fixture(scope="session")
def exported(model, events, tmp_path_factory):
    """The folder of an export's first version."""
    base = tmp_path_factory.mktemp("exports") / "shop"
    return export(model, events, base, metrics={"cold": float("nan")}, config={"seed": 1})


@pytest.fixture(scope="session")
def explaining(model, events, tmp_path_factory):
    """A version of the same that has shares."""
    base = tmp_path_factory.mktemp("explaining") / "shop"
    return export(model, events, base, kit=False, explain=True)


@pytest.fixture(scope="session")
def reference(model, events):
    return Reference(model, events)


@pytest.fixture(scope="session", params=["int8", "bfloat16"])
def smaller(request, model, events, tmp_path_factory):
    """A version in fewer bytes, and what it must answer."""
    base = tmp_path_factory.mktemp("smaller") / request.param
    version = export(model, events, base, precision=request.param)
    return version, RoundedReference(model, events, request.param)


@pytest.fixture(scope="session")
def references():
    """Variant -> what its export must answer."""
    found = {}
    for name, (times, options) in VARIANTS.items():
        variant_events = shop_events(times)
        found[name] = Reference(random_model(variant_events, **options), variant_events)
    return found


def _module(name):
    path = Path(__file__).with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location(f"serving_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def golden():
    """The module of golden requests."""
    return _module("golden")


@pytest.fixture(scope="session")
def business():
    """The module of business inputs and what they must do."""
    return _module("business")


@pytest.fixture(scope="session")
def ruled(business, make_model, tmp_path_factory):
    """An export with filters and rules, and what it must answer."""
    events = business.shop_events()
    model = make_model(events)
    base = tmp_path_factory.mktemp("ruled") / "shop"
    version = export(model, events, base, filters=business.FILTERS, rules=business.RULES)
    reference = Reference(model, events)
    frame = events.catalogue.frame
    return version, business.BusinessReference(reference, frame, business.FILTERS, business.RULES)


@pytest.fixture(scope="session")
def ranker(golden, tmp_path_factory):
    """A function from a name of golden.RANKERS to a model, its events and its exported version."""
    folder = tmp_path_factory.mktemp("rankers")

    @functools.cache
    def ranker(name):
        times, options = golden.RANKERS[name]
        events = golden.ranker_events(times)
        model = golden.random_ranker(events, options)
        return model, events, export(model, events, folder / name.replace(" ", "-"))

    return ranker
