"""Requests that wait at the same moment share a run of a version, and nothing else."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tfrec_fusion._compat import tf
from tfrec_fusion.deploy import DeploymentConfig
from tfrec_fusion.deploy.status import StatusError
from tfrec_fusion.errors import InputError
from tfrec_fusion.export import export
from tfrec_fusion.export.merged import joined, parted, separator
from tfrec_fusion.server.servable import Servable
from tfrec_fusion.signature import RANKED

pytest.importorskip("tensorflow_serving", reason='needs ".[serving]"')

INT32 = np.iinfo(np.int32)


class Version:
    """A version in a session, which feeds whatever shapes it is given, as TF Serving does."""

    def __init__(self, folder):
        self._servable = Servable("shop", 1, folder)

    def ask(self, signature, **inputs):
        return self._servable.run(
            signature, {name: _array(value) for name, value in inputs.items()}
        )


def _array(value):
    if not _is_text(value):
        return np.asarray(value)
    texts = np.array(value, object)
    found = np.empty(texts.shape, object)
    found.reshape(-1)[:] = [text.encode() for text in texts.reshape(-1)]
    return found


def _is_text(value):
    found = np.asarray(value)
    empty_lists = isinstance(value, list) and found.ndim == 2 and not found.size
    return found.dtype.kind in "USO" or empty_lists


def _dtype(value):
    return object if _is_text(value) else None


def _request(users, k=3, width=2, **more):
    """A request to `recommend`; lists of "" unless given."""
    n = len(users)
    lists = {name: [[""] * width] * n for name in ("history", "exclude", "include")}
    lists["history_age"] = np.zeros((n, width), np.float32)
    numbers = {"exclude_seen": np.zeros(n, bool), "k": np.full(n, k, np.int32)}
    return {"user_id": users, **lists, **numbers, **more}


@pytest.fixture(scope="module")
def version(exported):
    return Version(exported)


@pytest.fixture(scope="module")
def loaded(exported):
    return tf.saved_model.load(str(exported))


@pytest.fixture(scope="module")
def alone(model, events, tmp_path_factory):
    """The same, exported without merging."""
    base = tmp_path_factory.mktemp("alone") / "shop"
    return export(model, events, base, deployment=DeploymentConfig(merging=None, batch_sizes=(1,)))


def _operations(folder):
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    graph = saved.meta_graphs[0].graph_def
    nodes = [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
    return [node for node in nodes if node.op == "BatchFunction"]


def test_a_version_merges_unless_told_otherwise(exported, alone):
    found = _operations(exported)
    # All that recommend, which wait in the same queue.
    assert len(found) == len(RANKED) == 4
    assert len({node.attr["batching_queue"].s for node in found}) == 1
    for node in found:
        assert node.attr["max_batch_size"].i == 64
        assert node.attr["batch_timeout_micros"].i == 0
    assert not _operations(alone)


MALFORMED = [
    ("recommend", _request([["ü 3"]]) | {"user_id": [["ü 3"]]}, "user_id must have 1 dimension"),
    ("recommend", _request(["ü 3"], history=["item4"]), "history must have 2 dimensions"),
    ("recommend", _request(["ü 3"], include=[[["item4"]]]), "include must have 2 dimensions"),
    ("recommend", _request(["ü 3", "ü 5"], history=[["item4"]]), "history .* as many rows as user"),
    ("recommend", _request(["ü 3", "ü 5"], k=3) | {"k": np.int32([3])}, "k .* as many rows"),
    ("recommend", _request(["ü 3"]) | {"k": np.int32(3)}, "k must have 1 dimension"),
    (
        "recommend",
        _request(["ü 3", "ü 5"], exclude_seen=np.ones(3, bool)),
        "exclude_seen .* as many rows as user_id",
    ),
    ("serving_default", {"user_id": [["ü 3"]]}, "user_id must have 1 dimension"),
    (
        "recommend_user",
        {"user_id": ["ü 3", "ü 5"], "k": np.int32([3])},
        "k .* as many rows as user",
    ),
    ("recommend_history", {"history": ["item4"], "k": np.int32([3])}, "history must have 2 dim"),
    ("score", {"user_id": ["ü 3", "ü 5"], "item_id": [["item4"]]}, "item_id .* as many rows"),
    ("score", {"user_id": ["ü 3"], "item_id": ["item4"]}, "item_id must have 2 dimensions"),
    (
        "user_vector",
        {"user_id": ["ü 3"], "history": [["a"], ["b"]], "history_age": np.float32([[1]])},
        "history .* as many rows",
    ),
    (
        "recommend",
        _request(["ü 3"], history_age=np.zeros(1, np.float32)),
        "history_age must have 2 dim",
    ),
    (
        "recommend",
        _request(["ü 3", "ü 5"], history_age=np.zeros((1, 2), np.float32)),
        "history_age .* as many rows",
    ),
    ("item_vector", {"item_id": [["item4"]]}, "item_id must have 1 dimension"),
]


@pytest.mark.parametrize(("signature", "inputs", "says"), MALFORMED)
def test_the_graph_refuses_what_does_not_fit_and_names_the_input(version, signature, inputs, says):
    with pytest.raises(StatusError, match=says):
        version.ask(signature, **inputs)


@pytest.mark.parametrize(("signature", "inputs", "says"), MALFORMED)
def test_a_loaded_signature_refuses_it_too(loaded, signature, inputs, says):
    # Where no session runs the graph, nothing of it may be answered from promised shapes.
    inputs = {name: tf.constant(_array(value)) for name, value in inputs.items()}
    with pytest.raises(tf.errors.InvalidArgumentError, match=says):
        loaded.signatures[signature](**inputs)


def test_a_rankers_graph_refuses_it_too(ranker):
    _, _, folder = ranker("id only")
    asked = {"user_id": ["ü 3", "ü 5"], "item_id": [["item1"]], "history": [[""], [""]]}
    with pytest.raises(StatusError, match=r"item_id .* as many rows as user_id"):
        Version(folder).ask("score", **asked)


def _same(answer, expected):
    assert answer["item_id"].tolist() == expected["item_id"].tolist()
    np.testing.assert_allclose(answer["score"], expected["score"], rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_small_and_full_requests_share_runs(version, alone):
    """Each as alone, though they are merged with wider ones and ones of another signature."""
    history = [["item4", "", "item9", "x"]]
    requests = [
        ("recommend", _request(["ü 3"], k=5, exclude=[["item14"] * 9])),
        ("recommend_user", {"user_id": ["ü 3", "nobody"], "k": np.int32([4, 2])}),
        ("recommend_history", {"history": history, "k": np.int32([7])}),
        ("serving_default", {"user_id": ["ü 5"]}),
    ]
    kept = Version(alone)
    expected = [kept.ask(signature, **inputs) for signature, inputs in requests]
    same = _request([""], k=7, history=history)
    _same(kept.ask("recommend", **same), expected[2])
    with ThreadPoolExecutor(16) as pool:
        asked = [i % 4 for i in range(64)]
        answers = pool.map(lambda i: version.ask(requests[i][0], **requests[i][1]), asked)
    for i, answer in zip(asked, answers, strict=True):
        _same(answer, expected[i])


@pytest.mark.slow
def test_only_malformed_requests_fail_among_good_ones(version, alone):
    good = [
        _request(["ü 3"], k=5),
        _request(["nobody", "ü 5"], k=1, width=0),
        _request(["ü 7"], k=40, history=[["item4", "", "item9", "x"]]),
        _request(["ü 8"], exclude=[["item14"] * 9], exclude_seen=np.ones(1, bool)),
        _request(["ü 9"], include=[[f"item{i}" for i in range(40)]]),
        _request(["ü 1"], history=[["item4"] * 300], k=7),
        _request([f"ü {i}" for i in range(70)], k=2),
        {},
    ]
    good[-1] = {name: np.asarray(v, _dtype(v))[:0] for name, v in _request(["ü 3"]).items()}
    bad = [inputs for signature, inputs, _ in MALFORMED if signature == "recommend"]
    expected = [Version(alone).ask("recommend", **request) for request in good]
    for request, answer in zip(good, expected, strict=True):
        _same(version.ask("recommend", **request), answer)

    def ask(request):
        try:
            return version.ask("recommend", **request)
        except StatusError as error:
            return error

    rng = np.random.default_rng(0)
    todo = [*itertools.islice(itertools.cycle(range(len(good))), 160), *[-1] * 40]
    rng.shuffle(todo)
    requests = [good[i] if i >= 0 else bad[n % len(bad)] for n, i in enumerate(todo)]
    with ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(ask, requests))
    for i, answer in zip(todo, answers, strict=True):
        if i < 0:
            assert answer.code == "INVALID_ARGUMENT"
        else:
            _same(answer, expected[i])


def test_an_id_with_a_line_end_is_unknown(version):
    both = ["item4\nitem9", "\nitem14"]
    expected = version.ask("recommend", **_request(["nobody"], k=40))
    found = version.ask("recommend", **_request(["nobody"], k=40, exclude=[both]))
    _same(found, expected)
    found = version.ask("recommend", **_request(["nobody"], k=40, include=[both]))
    assert not any(found["item_id"][0])


def test_lists_are_joined_by_what_no_tag_of_the_table_holds():
    """A line break is in a tag, so \\x01 joins; a requested tag that holds it is unknown."""
    assert (separator(), separator(["a b"]), separator(["a\n", "b"])) == ("\n", "\n", "\x01")
    tags = tf.constant([["a\nb", "c", ""], ["", "", ""], ["a\x01b", "a", "a"]])
    lists = parted(joined(tags, "\x01"), "\x01").numpy().tolist()
    assert lists == [[b"a\nb", b"c", b""], [b"", b"", b""], [b"a\xffb", b"a", b"a"]]
    with pytest.raises(InputError, match=r"every control character.*merging=None.*Received: 31"):
        separator(map(chr, range(1, 32)))


@pytest.mark.parametrize(("k", "columns"), [(INT32.max, 40), (41, 40), (0, 0), (INT32.min, 0)])
def test_an_answer_is_as_wide_as_k_and_no_wider_than_the_catalogue(version, k, columns):
    answer = version.ask("recommend", **_request(["ü 3", "ü 5"], k=k))
    assert answer["item_id"].shape == answer["score"].shape == (2, columns)


def test_any_k_with_rules(ruled):
    folder, reference = ruled
    function = tf.saved_model.load(str(folder))
    specs = function.signatures["recommend"].structured_input_signature[1]
    neutral = {tf.string: "", tf.float32: np.nan, tf.bool: False, tf.int32: INT32.max}
    inputs = {
        name: tf.fill([1] * spec.shape.rank, neutral[spec.dtype]) for name, spec in specs.items()
    }
    answer = function.signatures["recommend"](**inputs)
    assert answer["item_id"].shape == (1, len(reference.ids))
    inputs["k"] = tf.constant([-7])
    assert function.signatures["recommend"](**inputs)["item_id"].shape == (1, 0)


@pytest.mark.slow
def test_versions_in_one_process_do_not_mix(make_shop_events, make_model, exported, tmp_path):
    events = make_shop_events(seed=1)
    other = export(make_model(events, user="id"), events, tmp_path / "shop", deployment=False)
    loaded = [tf.saved_model.load(str(folder)) for folder in (exported, other)]
    user = tf.constant(["ü 3"])
    expected = [version.plain["serving_default"](user_id=user)["score"] for version in loaded]
    assert not np.allclose(*expected)
    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(
            lambda i: loaded[i % 2].signatures["serving_default"](user_id=user), range(60)
        )
    for i, answer in enumerate(answers):
        np.testing.assert_allclose(answer["score"], expected[i % 2], rtol=1e-5, atol=1e-5)
