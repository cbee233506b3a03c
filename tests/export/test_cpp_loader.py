"""The loader that TF Serving uses, in C++, answers as the model does."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from stacked import scores_of_users

from tfrec_fusion._compat import tf
from tfrec_fusion.deploy.warmup import FILE, iterate_warmup, signature_specs
from tfrec_fusion.export import export
from tfrec_fusion.models import SearchModel

log_pb2 = pytest.importorskip(
    "tensorflow_serving.apis.prediction_log_pb2", reason='needs ".[serving]"'
)


@pytest.fixture(scope="session")
def loader(tmp_path_factory):
    """A function that asks a version the requests of a file; skips without a C++ compiler."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("needs g++")
    home = Path(tf.__file__).parent
    if not (home / "libtensorflow_cc.so.2").is_file():
        pytest.skip("needs TensorFlow's C++ library, which this wheel lacks")
    program = tmp_path_factory.mktemp("cpp") / "loader"
    flags = "-w -std=c++17 -O0 -D_GLIBCXX_USE_CXX11_ABI=1 -DEIGEN_MAX_ALIGN_BYTES=64"
    libraries = "-Wl,--no-as-needed -l:libtensorflow_cc.so.2 -l:libtensorflow_framework.so.2"
    source = Path(__file__).parent / "cpp" / "loader.cc"
    command = [compiler, *flags.split(), f"-I{home / 'include'}", source, "-o", program]
    command += [f"-L{home}", *libraries.split(), f"-Wl,-rpath,{home}"]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr

    def ask(version, requests):
        """The outputs of each request, as name -> array."""
        answers = program.with_name("answers")
        done = subprocess.run([program, version, requests, answers], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        found = [{} for _ in range(int(done.stdout))]
        for record in tf.data.TFRecordDataset(str(answers)).as_numpy_iterator():
            named = _named_tensor(record)
            index, _, name = named.name.partition(" ")
            found[int(index)][name] = tf.make_ndarray(named.tensor)
        return found

    return ask


def _named_tensor(record):
    from tensorflow.core.protobuf import named_tensor_pb2

    return named_tensor_pb2.NamedTensorProto.FromString(record)


def _write(path, requests):
    with tf.io.TFRecordWriter(str(path)) as file:
        for signature, inputs in requests:
            log = log_pb2.PredictionLog()
            request = log.predict_log.request
            request.model_spec.signature_name = signature
            for name, value in inputs.items():
                request.inputs[name].CopyFrom(tf.make_tensor_proto(value, shape=value.shape))
            file.write(log.SerializeToString())


def _check_golden(loader, golden, reference, version, folder):
    requests = golden.two_tower_requests(reference)
    _write(folder / "requests", requests)
    answers = loader(version, folder / "requests")
    for (signature, inputs), outputs in zip(requests, answers, strict=True):
        golden.check_two_tower(reference, signature, inputs, outputs)


def _check_warmup(loader, version):
    """The loader gives for each warm-up record what this process gives."""
    served = tf.saved_model.load(str(version))
    records = list(iterate_warmup(version))
    answers = loader(version, version / FILE)
    assert len(answers) == len(records) > 0
    for (signature, inputs), outputs in zip(records, answers, strict=True):
        tensors = {name: tf.constant(value) for name, value in inputs.items()}
        expected = served.signatures[signature](**tensors)
        assert set(outputs) == set(expected)
        for name, value in expected.items():
            if value.dtype == tf.string:
                assert outputs[name].shape == value.shape
            else:
                np.testing.assert_allclose(outputs[name], value, rtol=1e-6, atol=1e-5)


@pytest.mark.slow
def test_golden_requests_and_warmup(loader, golden, reference, exported, tmp_path):
    _check_golden(loader, golden, reference, exported, tmp_path)
    _check_warmup(loader, exported)


@pytest.mark.acceptance
def test_decayed_histories(loader, decayed):
    _check_warmup(loader, decayed[1])


@pytest.mark.acceptance
def test_business_inputs_and_rules(loader, business, ruled, tmp_path):
    version, reference = ruled
    asked = business.golden_requests(reference, signature_specs(version)["recommend"][0])
    _write(tmp_path / "requests", [("recommend", inputs) for inputs, *_ in asked])
    answers = loader(version, tmp_path / "requests")
    for (_, requests, k), outputs in zip(asked, answers, strict=True):
        assert outputs["item_id"].shape == outputs["score"].shape == (len(requests), k)
        for row, request in enumerate(requests):
            business.check(reference, request, outputs["item_id"][row], outputs["score"][row])
    _check_warmup(loader, version)


@pytest.mark.acceptance
def test_golden_requests_of_a_blend(loader, golden, business, blended, ruled_blend, tmp_path):
    version, reference = blended
    requests = golden.two_tower_requests(reference)
    vectors = ("user_vector", "item_vector", "similar", "audience")
    requests = [one for one in requests if one[0] not in vectors]
    _write(tmp_path / "requests", requests)
    answers = loader(version, tmp_path / "requests")
    for (signature, inputs), outputs in zip(requests, answers, strict=True):
        golden.check_two_tower(reference, signature, inputs, outputs)
    _check_warmup(loader, version)
    version, reference = ruled_blend
    asked = business.golden_requests(reference, signature_specs(version)["recommend"][0])
    _write(tmp_path / "requests", [("recommend", inputs) for inputs, *_ in asked])
    answers = loader(version, tmp_path / "requests")
    for (_, requests, _), outputs in zip(asked, answers, strict=True):
        for row, request in enumerate(requests):
            business.check(reference, request, outputs["item_id"][row], outputs["score"][row])


@pytest.mark.acceptance
def test_a_stack(loader, stacked, tmp_path):
    stack, events, version = stacked
    asked, expected = scores_of_users(stack, events)
    specs = signature_specs(version)["score"][0]
    for name, spec in specs.items():
        asked.setdefault(name, np.zeros([6, 0], spec.dtype.as_numpy_dtype))
    _write(tmp_path / "requests", [("score", asked)])
    (answer,) = loader(version, tmp_path / "requests")
    np.testing.assert_allclose(answer["score"], expected, atol=1e-5)
    _check_warmup(loader, version)


@pytest.mark.acceptance
@pytest.mark.parametrize("fusion", ["ranks", "scores"])
def test_search(loader, events, make_model, fusion, tmp_path):
    model = SearchModel(make_model(events), events, vectors="text")
    version = export(model, events, tmp_path / "shop", search={"fusion": fusion})
    asked = {
        "query": np.array(["Thing № 7", "thinng 12", "", "käse"], object),
        "query_vector": np.random.default_rng(0).normal(size=(4, 12)).astype(np.float32),
        "user_id": np.array(["ü 3", "", "nobody", ""], object),
        "k": np.full(4, 6, np.int32),
    }
    text = {name: asked[name] for name in ("query", "user_id", "k")}
    requests = [("search", asked), ("search_text", text)]
    _write(tmp_path / "requests", requests)
    answers = loader(version, tmp_path / "requests")
    served = tf.saved_model.load(str(version))
    for (signature, inputs), answer in zip(requests, answers, strict=True):
        tensors = {name: tf.constant(value) for name, value in inputs.items()}
        expected = served.signatures[signature](**tensors)
        assert answer["item_id"].tolist() == expected["item_id"].numpy().tolist()
        np.testing.assert_allclose(answer["score"], expected["score"], atol=1e-6)
    assert answers[1]["item_id"][1, 0] == events.catalogue.vocabulary.ids[12].encode()
    _check_warmup(loader, version)


@pytest.mark.parametrize(
    "fusion",
    [
        pytest.param("sum", marks=pytest.mark.acceptance),
        pytest.param("gate", marks=pytest.mark.acceptance),
        pytest.param("user id", marks=pytest.mark.acceptance),
    ],
)
def test_golden_requests_of_every_fusion(loader, golden, references, fusion, tmp_path):
    reference = references[fusion]
    version = export(reference.model, reference.events, tmp_path / "shop", audience=True)
    _check_golden(loader, golden, reference, version, tmp_path)
    _check_warmup(loader, version)


@pytest.mark.acceptance
def test_golden_requests_in_fewer_bytes(loader, golden, smaller, tmp_path):
    version, reference = smaller
    _check_golden(loader, golden, reference, version, tmp_path)
    _check_warmup(loader, version)


@pytest.mark.acceptance
def test_golden_requests_of_rankers(loader, golden, ranker, tmp_path):
    for name in golden.RANKERS:
        model, events, version = ranker(name)
        requests = golden.ranker_requests(model, events)
        _write(tmp_path / "requests", [(name, inputs) for name, inputs, _ in requests])
        answers = loader(version, tmp_path / "requests")
        for (signature, _, asked), outputs in zip(requests, answers, strict=True):
            golden.check_ranker(golden.ranker_logits(model, events, asked), signature, outputs)
        _check_warmup(loader, version)


@pytest.mark.acceptance
def test_declared_features(loader, featured, tmp_path):
    version, asked, scores = featured
    _write(tmp_path / "requests", [("score", asked)])
    found = loader(version, tmp_path / "requests")[0]["score"]
    np.testing.assert_allclose(found, scores, rtol=1e-4, atol=1e-5)
    _check_warmup(loader, version)


@pytest.mark.slow
def test_a_request_that_does_not_fit_is_seen(loader, exported, tmp_path):
    """So that a wrong warm-up record could not pass unseen."""
    _write(tmp_path / "requests", [("item_vector", {"item": np.array(["a"], object)})])
    with pytest.raises(AssertionError, match="item_vector has no input item"):
        loader(exported, tmp_path / "requests")
