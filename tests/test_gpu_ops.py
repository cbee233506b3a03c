"""Whether each op of the graphs that a GPU is to run has a kernel there in this TensorFlow."""

import numpy as np
import pandas as pd
import pytest
from tensorflow.python.framework.kernels import get_registered_kernels_for_op

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.data import Catalogue, Interactions, UserTable
from tfrec_fusion.evaluation import segment
from tfrec_fusion.examples import ranking_examples
from tfrec_fusion.features import Features, Number
from tfrec_fusion.models import Ranker, TwoTower
from tfrec_fusion.optimizers import for_tables
from tfrec_fusion.retrieval import exact_top_k

# What TensorFlow itself places, or removes before it runs a graph.
_STRUCTURE = {
    "NoOp",
    "Placeholder",
    "_Arg",
    "_Retval",
}


def ops_without_gpu_kernel(function) -> set[str]:
    """Names of the ops of a concrete function and all that it calls."""
    graph = function.graph.as_graph_def()
    nodes = [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
    names = {node.op for node in nodes} - {f.signature.name for f in graph.library.function}
    found = set()
    for name in names - _STRUCTURE:
        devices = {kernel.device_type for kernel in get_registered_kernels_for_op(name).kernel}
        # What is registered as DEFAULT runs on any device.
        if not devices & {"GPU", "DEFAULT"}:
            found.add(name)
    return found


@pytest.fixture(scope="module")
def events():
    rng = np.random.default_rng(0)
    n = 200
    items = pd.DataFrame({"item_id": [f"i{i}" for i in range(12)], "price": rng.random(12)})
    items["kind"] = list("abcd") * 3
    shop = Catalogue(items, {"text": rng.normal(size=(12, 6)).astype(np.float32)})
    frame = pd.DataFrame(
        {
            "user_id": [f"u{u}" for u in rng.integers(0, 15, n)],
            "item_id": [f"i{i}" for i in rng.integers(0, 12, n)],
            "timestamp": 1.6e9 + np.sort(rng.uniform(0, 3e7, n)),
            "hour": rng.integers(0, 24, n),
        }
    )
    return Interactions.from_frame(frame, shop)


def _step(model, batches):
    return tf.function(model.train_step).get_concrete_function(batches.element_spec)


EXAMPLES = {
    "as_of": {},
    "as_of, sampled": {"examples": "as_of", "candidates": 5},
    "autoencoder": {"examples": "autoencoder"},
    "held_out": {"examples": "held_out"},
    "pairs": {"examples": "pairs"},
}


_OFTEN = ("as_of", "pairs")


@pytest.mark.parametrize(
    "examples", [e if e in _OFTEN else pytest.param(e, marks=pytest.mark.slow) for e in EXAMPLES]
)
def test_a_two_towers_training_step(events, examples):
    model = TwoTower(events, dim=8, user="both", trend="as_of" in examples)
    model.compile(for_tables(0.01))
    step = _step(model, events.batches(8, **EXAMPLES[examples]))
    assert ops_without_gpu_kernel(step) == set()


def test_a_rankers_training_step(events):
    features = Features(context=[Number(column="hour")])
    model = Ranker(events, dim=8, hidden=[8], user="both", features=features)
    model.compile(for_tables(0.01))
    batches = ranking_examples(events, 16, context_side=model.spec.context_side)
    assert ops_without_gpu_kernel(_step(model, batches)) == set()


def test_declared_features(events):
    features = {"item": [{"kind": "category", "column": "kind"}]}
    features["user"] = [{"kind": "tags", "column": "likes"}, {"kind": "number", "column": "age"}]
    users = pd.DataFrame({"user_id": events.users.ids, "likes": "tea", "age": 1.0})
    events = Interactions(events.catalogue, events.users, events._columns, UserTable(users))
    for model, batches in (
        (TwoTower(events, dim=8, features=features), events.batches(8)),
        (Ranker(events, dim=8, hidden=[8], features=features), ranking_examples(events, 16)),
    ):
        model.compile(for_tables(0.01))
        assert ops_without_gpu_kernel(_step(model, batches)) == set()


def test_repeated_events(events):
    events = events.with_repeats("all")
    model = TwoTower(events, dim=8)
    model.compile(for_tables(0.01))
    assert ops_without_gpu_kernel(_step(model, events.batches(8))) == set()


def test_top_k():
    table = tf.TensorSpec([None, 8], tf.float32)
    pairs = tf.TensorSpec([None, 2], tf.int32)
    best = tf.function(lambda users, items, masked: exact_top_k(users, items, 5, masked))
    assert ops_without_gpu_kernel(best.get_concrete_function(table, table, pairs)) == set()


def test_evaluation():
    found = [each for each in vars(segment).values() if hasattr(each, "get_concrete_function")]
    assert len(found) == 2
    for function in found:
        assert ops_without_gpu_kernel(function.get_concrete_function()) == set()


def test_a_lookup_of_strings_is_found():
    lookup = keras.layers.StringLookup(vocabulary=["a"])
    function = tf.function(lookup).get_concrete_function(tf.TensorSpec([None], tf.string))
    assert "LookupTableFindV2" in ops_without_gpu_kernel(function)
