import functools
import json
import pickle
import subprocess
import sys
from pathlib import Path

import golden
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shop_exports import VARIANTS, run_of

from tfrec_fusion._compat import tf
from tfrec_fusion.deploy.warmup import signature_specs
from tfrec_fusion.export import export
from tfrec_fusion.export.served_model import _as_lists
from tfrec_fusion.export.signatures import CATALOGUE_SIGNATURES
from tfrec_fusion.features import State
from tfrec_fusion.signature import RANKED, Signature

NOT_ASKED = {"explain", "search", "search_text", "search_vector"}
NAMES = {one.name for one in CATALOGUE_SIGNATURES} - NOT_ASKED
LOWEST = np.finfo(np.float32).min
NOT_TEXT = b"\xff\xfe"  # no UTF-8: an id that nothing can have


def _strings(rows):
    return np.asarray(rows, dtype=object)


def _requests(reference):
    """(signature, inputs) of every signature at batch 0, 1 and 32, widths 0 and more."""
    rng = np.random.default_rng(3)
    users = ["nobody", "", NOT_TEXT, *reference.events.users.ids[:20]]
    items = [*reference.item_ids, "no such item", "", "", "", NOT_TEXT]

    def some(shape, choice):
        drawn = rng.integers(0, len(choice), shape)
        return _strings([choice[i] for i in drawn.ravel()]).reshape(shape)

    n = len(reference.item_ids)
    for batch in (0, 1, 32):
        user_id = some((batch,), users)
        yield "serving_default", {"user_id": user_id}
        widths = [(0, 0, 5), (3, 2, 7), (0, 3, n), (6, 0, n + 7)]
        for history, exclude, k in widths if batch else widths[:1]:
            drawn = some((batch, history), items)
            drawn[rng.random(batch) < 0.4] = ""
            yield (
                "recommend",
                {
                    "user_id": user_id,
                    "history": drawn,
                    "exclude": some((batch, exclude), items),
                    "include": _strings([[]] * batch).reshape(batch, 0),
                    "exclude_seen": np.zeros(batch, bool),
                    **_ages(reference, batch, history),
                    "k": np.append(np.zeros(max(batch - 1, 0)), [k] * min(batch, 1)).astype(
                        "int32"
                    ),
                },
            )
        k = np.full(batch, 7, np.int32)
        yield "recommend_user", {"user_id": user_id, "k": k}
        yield "recommend_history", {"history": some((batch, 3), items), "k": k}
        for width in (0, 6):
            yield "score", {"user_id": user_id, "item_id": some((batch, width), items)}
            past = {"history": some((batch, width), items), **_ages(reference, batch, width)}
            yield "user_vector", {"user_id": user_id, **past}
        one = {"item_id": some((batch,), items)}
        yield "item_vector", one
        yield "similar", {**one, "k": np.full(batch, n, np.int32)}
        yield "audience", {**one, "k": k}
    known = reference.events.users.ids
    everything = np.tile(reference.item_ids, (len(known), 1))
    yield "score", {"user_id": known, "item_id": everything}
    for k in ([0], [-4], [1], [2, 9, 1]):
        nothing = _strings([[]] * len(k)).reshape(len(k), 0)
        request = {"user_id": known[: len(k)], "history": nothing, "exclude": nothing}
        request |= {"include": nothing, "exclude_seen": np.zeros(len(k), bool)}
        request |= _ages(reference, len(k), 0)
        yield "recommend", {**request, "k": np.asarray(k, np.int32)}


def _ages(reference, batch, width):
    """The input with ages of `width` items, if the model reads ages."""
    if not reference.reads_ages:
        return {}
    return {"history_age": golden.some_ages(np.random.default_rng(1), batch, width)}


@pytest.fixture(scope="module")
def answers(references, ruled, business, tmp_path_factory):
    """A function from a variant, or "ruled", to its requests with their answers."""

    @functools.cache
    def group(run):
        """Those that are exported in one run of the tests."""
        folder = tmp_path_factory.mktemp("variants")
        chosen = {name: references[name] for name in VARIANTS if run_of(name) == run}
        todo, owners = [], []
        for index, (name, reference) in enumerate(chosen.items()):
            base = folder / str(index) / "model"
            version = export(reference.model, reference.events, base, audience=True)
            for signature, inputs in _requests(reference):
                todo.append((str(version), signature, inputs))
                owners.append(name)
        if run == "quick":
            for inputs, *_ in _ruled_requests(ruled, business):
                todo.append((str(ruled[0]), "recommend", inputs))
                owners.append("ruled")
        return _answered(folder, todo, owners)

    return lambda name: group("quick" if name == "ruled" else run_of(name))[name]


def _answered(folder, todo, owners):
    """Owner -> its requests with the answers of a process that lacks this package."""
    (folder / "requests").write_bytes(pickle.dumps(todo))
    script = Path(__file__).parents[1] / "fixtures" / "clean_process.py"
    command = [sys.executable, script, folder / "requests", folder / "answers"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = {name: [] for name in owners}
    answered = pickle.loads((folder / "answers").read_bytes())
    for owner, (_, signature, inputs), outputs in zip(owners, todo, answered, strict=True):
        found[owner].append((signature, inputs, outputs))
    return found


def _ruled_requests(ruled, business):
    specs = signature_specs(ruled[0])["recommend"][0]
    return business.golden_requests(ruled[1], specs)


def _text(value):
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-5)


def _check_ranking(reference, outputs, user_ids, histories, excludes, k, ages=None):
    """Scores as expected, and each item at its own score: near ties may change places."""
    assert outputs["item_id"].shape == outputs["score"].shape == (len(user_ids), k)
    assert outputs["score"].dtype == np.float32
    vectors, seen = reference.users(user_ids, histories, ages)
    for row, (vector, exclude) in enumerate(zip(vectors, excludes, strict=True)):
        ids = [item.decode() for item in outputs["item_id"][row]]
        scores = outputs["score"][row]
        expected_ids, expected = reference.best(vector, seen[row], exclude, k)
        _close(scores, expected)
        assert (np.diff(scores) <= 0).all()
        found = [item for item in ids if item]
        assert len(found) == sum(map(bool, expected_ids))
        assert len(set(found)) == len(found)
        assert not {reference.item_ids[i] for i in seen[row]} & set(found)
        assert not set(exclude) & set(found)
        _close(scores[: len(found)], [reference.item(item) @ vector for item in found])
        assert (scores[len(found) :] == LOWEST).all()


def test_every_signature_equals_the_model(answers, references, variant, golden):
    reference = references[variant]
    dim = reference.model.vector_dim
    checked = set()
    for signature, inputs, outputs in answers(variant):
        checked.add(signature)
        named = {
            name: np.vectorize(_text, otypes=[object])(value) if value.size else value
            for name, value in inputs.items()
            if name not in ("k", "history_age")
        }
        batch = len(next(iter(inputs.values())))
        nothing = [[]] * batch
        if signature in RANKED:
            k = max([0, *inputs["k"]]) if "k" in inputs else 100
            k = min(k, len(reference.item_ids))
            lists = (named.get(name, nothing) for name in ("history", "exclude"))
            users = named.get("user_id", [""] * batch)
            _check_ranking(reference, outputs, users, *lists, k, inputs.get("history_age"))
        elif signature == "score":
            assert outputs["score"].shape == inputs["item_id"].shape
            vectors, _ = reference.users(named["user_id"], nothing)
            for row, items in enumerate(named["item_id"]):
                expected = [reference.item(item) @ vectors[row] for item in items]
                _close(outputs["score"][row], expected)
        elif signature in ("similar", "audience"):
            golden.check_two_tower(reference, signature, inputs, outputs)
        elif signature == "user_vector":
            assert outputs["vector"].shape == (batch, dim)
            ages = inputs.get("history_age")
            expected = reference.users(named["user_id"], named["history"], ages)[0]
            _close(outputs["vector"], expected)
        else:
            expected = [reference.item(item) for item in named["item_id"]]
            _close(outputs["vector"], np.reshape(expected, (batch, dim)))
    assert checked == NAMES


def test_business_inputs_and_rules(answers, ruled, business):
    asked = _ruled_requests(ruled, business)
    for (_, requests, k), (_, _, outputs) in zip(asked, answers("ruled"), strict=True):
        assert outputs["item_id"].shape == outputs["score"].shape == (len(requests), k)
        for row, request in enumerate(requests):
            business.check(ruled[1], request, outputs["item_id"][row], outputs["score"][row])


def test_scores_equal_the_scorer(answers, references, variant):
    reference = references[variant]
    known = len(reference.events.users)
    scores = reference.model.scorer(State.of(reference.events))(np.arange(known, dtype=np.int32))
    shape = (known, len(reference.item_ids))
    found = [
        o["score"] for s, _, o in answers(variant) if s == "score" and o["score"].shape == shape
    ]
    assert len(found) == 1
    _close(found[0], scores)


@pytest.fixture(scope="module")
def served(exported):
    # The signatures alone do not keep the variables alive.
    loaded = tf.saved_model.load(str(exported))
    return loaded, loaded.signatures


def _recommend(served, users, histories, excludes, k, ages=None):
    def matrix(rows, pad=""):
        width = max([len(row) for row in rows], default=0)
        padded = [[*row, *[pad] * (width - len(row))] for row in rows]
        dtype = tf.string if pad == "" else tf.float32
        return tf.reshape(tf.constant(padded, dtype), [len(rows), width])

    answer = served[1]["recommend"](
        user_id=tf.constant(users, tf.string),
        history=matrix(histories),
        history_age=matrix([[]] * len(users) if ages is None else ages, 0.0),
        exclude=matrix(excludes),
        include=matrix([[]] * len(users)),
        exclude_seen=tf.fill([len(users)], False),
        k=tf.constant(k, tf.int32),
    )
    return {name: value.numpy() for name, value in answer.items()}


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_what_is_seen_or_excluded_never_comes_back(served, reference, data):
    users = st.sampled_from(["nobody", "", *reference.events.users.ids])
    items = st.sampled_from(["no such item", "", *reference.item_ids])
    ages = st.lists(st.floats(width=32), max_size=7)
    lists = st.lists(items, max_size=6), st.lists(items, max_size=45), ages
    requests = data.draw(st.lists(st.tuples(users, *lists), max_size=4))
    k = data.draw(st.integers(0, 50))
    *columns, days = list(zip(*requests, strict=True)) or [[], [], [], []]
    k = min(k, len(reference.item_ids)) if requests else 0
    outputs = _recommend(served, *columns, [k] * len(requests), days)
    _check_ranking(reference, outputs, *columns, k, days)


def test_everything_excluded_leaves_only_padding(served, reference):
    outputs = _recommend(served, ["ü 3"], [[]], [list(reference.item_ids)], [4])
    assert outputs["item_id"].tolist() == [[b"", b"", b"", b""]]
    assert outputs["score"].tolist() == [[LOWEST] * 4]


def test_repeated_ids_change_nothing(served):
    once = _recommend(served, ["ü 3"], [["item4", "item9"]], [["item14"]], [30])
    twice = _recommend(
        served, ["ü 3"], [["item4", "item9", "item4", "x"]], [["item14", "item14"]], [30]
    )
    assert once["item_id"].tolist() == twice["item_id"].tolist()
    np.testing.assert_array_equal(once["score"], twice["score"])


def test_a_stored_history_given_with_its_ages_changes_nothing(served, reference):
    histories = State.of(reference.events).aged_histories()
    for row in range(3):
        one, user = histories.take(np.array([row])), [reference.events.users.ids[row]]
        items, days = reference.item_ids[one.items], one.times
        stored = _recommend(served, user, [[]], [[]], [30])
        # In any order: ages say which is the latest.
        for order in (np.arange(len(items)), np.arange(len(items))[::-1]):
            given = _recommend(served, user, [items[order]], [[]], [30], [days[order]])
            assert given["item_id"].tolist() == stored["item_id"].tolist()
            _close(given["score"], stored["score"])
        now = _recommend(served, user, [items], [[]], [30])
        assert np.abs(now["score"] - stored["score"]).max() > 1e-3


def test_the_oldest_of_repeated_items_counts(served):
    one = _recommend(served, [""], [["item4", "item9"]], [[]], [30], [[50, 2]])
    three = [["item4", "item9", "item4"], ["item4", "item9", "item4"]]
    both = _recommend(served, [""] * 2, three, [[], []], [30] * 2, [[50, 2, 7], [7, 2, 50]])
    for row in both["score"]:
        _close(row, one["score"][0])


def test_merged_requests_answer_as_each_alone(served):
    """TF Serving concatenates waiting requests of one width; only k is shared."""
    users, histories = ["ü 3", "nobody", "ü 5"], [["item4"], [""], [""]]
    merged = _recommend(served, users, histories, [["item9"], [""], ["item14"]], [3, 8, 2])
    alone = _recommend(served, users[2:], histories[2:], [["item14"]], [2])
    assert merged["item_id"].shape == (3, 8)
    assert merged["item_id"][2, :2].tolist() == alone["item_id"][0].tolist()


def test_unknown_user_without_history_gets_the_models_answer_to_nothing(served, reference):
    ids = _recommend(served, ["nobody"], [[]], [[]], [40])["item_id"][0]
    scores = reference.model.scorer(State.of(reference.events))(np.array([-1]))[0]
    ranks = {item: rank for rank, item in enumerate(ids)}
    order = sorted(range(len(scores)), key=lambda i: ranks[reference.item_ids[i].encode()])
    assert (np.diff(scores[order]) <= 1e-5).all()


def test_signatures_are_as_described(served, exported):
    described = Signature.from_card(json.loads((exported / "model_card.json").read_text()))
    assert set(described) == set(served[1]) == NAMES
    for name, signature in described.items():
        function = served[1][name]
        actual = function.structured_input_signature[1], function.structured_outputs
        for specs, tensors in zip(actual, (signature.inputs, signature.outputs), strict=True):
            assert {tensor.name for tensor in tensors} == set(specs)
            for tensor in tensors:
                spec = specs[tensor.name]
                assert (tensor.dtype, len(tensor.sizes)) == (spec.dtype.name, spec.shape.rank)


def test_nothing_of_the_catalogues_size_is_a_constant(exported, reference):
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel.FromString((exported / "saved_model.pb").read_bytes())
    graph = saved.meta_graphs[0].graph_def
    nodes = [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
    tensors = [node.attr["value"].tensor for node in nodes if node.op == "Const"]
    sizes = [np.prod([dim.size for dim in tensor.tensor_shape.dim]) for tensor in tensors]
    assert 1 < max(sizes) < len(reference.events.users) < len(reference.item_ids)


def test_no_step_makes_lists_of_all_users_times_all_their_items():
    """10,000 users of 50 items each would take gigabytes."""
    pairs = tf.TensorSpec([1000, 2], tf.int32)
    graph = tf.function(lambda pairs: _as_lists(pairs, 1000)).get_concrete_function(pairs).graph
    sizes = [tensor.shape.num_elements() for op in graph.get_operations() for tensor in op.outputs]
    assert 1000 < max(size for size in sizes if size is not None) <= 3000
