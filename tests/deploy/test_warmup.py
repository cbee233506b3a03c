import numpy as np
import pytest

from tfrec_fusion._compat import tf
from tfrec_fusion.deploy import DeploymentConfig
from tfrec_fusion.deploy.warmup import FILE, check_warmup, iterate_warmup
from tfrec_fusion.errors import InputError
from tfrec_fusion.export import export
from tfrec_fusion.export.signatures import CATALOGUE_SIGNATURES


@pytest.fixture(scope="module")
def version(deployment, model, events, tmp_path_factory):
    request = {"user_id": ["ü 3"], "history": [["", "item4"]], "history_age": [[0, 3.5]]}
    more = DeploymentConfig(batch_sizes=(1, 3), requests={"user_vector": [request]})
    base = tmp_path_factory.mktemp("warm") / "shop"
    return export(model, events, base, deployment=more, audience=True)


def test_every_signature_and_batch_size_has_a_record(version, events):
    found = list(iterate_warmup(version))
    rows = [(name, len(next(iter(inputs.values())))) for name, inputs in found]
    # Without explain, which the version is not exported with.
    not_asked = ("explain", "search", "search_text", "search_vector")
    names = [one.name for one in CATALOGUE_SIGNATURES if one.name not in not_asked]
    assert sorted(rows[:-1]) == sorted((name, size) for name in names for size in (1, 3))
    assert rows[-1] == ("user_vector", 1)
    users = np.concatenate([inputs["user_id"] for _, inputs in found if "user_id" in inputs])
    known = events.users.rows([user.decode() for user in users]) >= 0
    assert known.any() and not known.all()
    for _, inputs in found:
        if "history" in inputs:
            assert (inputs["history"][:, 0] == b"").all()
        if "history_age" in inputs and len(inputs["history"]) > 1:
            assert np.isnan(inputs["history_age"][:, 0]).all()
            assert (inputs["history_age"][:, 1:] > 0).all()


def test_every_record_is_answered(version):
    loaded = tf.saved_model.load(str(version))
    for name, inputs in iterate_warmup(version):
        tensors = {key: tf.constant(value) for key, value in inputs.items()}
        outputs = loaded.signatures[name](**tensors)
        assert {len(value) for value in outputs.values()} == {len(next(iter(inputs.values())))}


slow = pytest.mark.slow  # each makes an export


@pytest.mark.parametrize(
    ("requests", "says"),
    [
        ({"recommnd": [{}]}, "no signature 'recommnd'"),
        pytest.param({"item_vector": [{"item": ["a"]}]}, "has no input 'item'", marks=slow),
        pytest.param({"score": [{"user_id": ["a"]}]}, "needs the input 'item_id'", marks=slow),
        pytest.param(
            {
                "recommend": [
                    {
                        "user_id": ["a"],
                        "history": [[]],
                        "history_age": [[]],
                        "exclude": [[]],
                        "include": [[]],
                        "exclude_seen": [False],
                        "k": ["ten"],
                    }
                ]
            },
            "k must be int32",
            marks=slow,
        ),
        pytest.param(
            {"user_vector": [{"user_id": ["a"], "history": ["b"], "history_age": [[1]]}]},
            r"history must have the shape",
            marks=slow,
        ),
        (
            {
                "user_vector": [
                    {"user_id": ["a", "b"], "history": [["c"]], "history_age": [[1], [1]]}
                ]
            },
            "request 1: user_vector fails on it.*history must have .* as many rows",
        ),
        pytest.param(
            {"item_vector": [{"item_id": ["a"]}] * 1000},
            r"at most 1000 records. Received: 10\d\d",
            marks=slow,
        ),
    ],
)
def test_a_request_that_does_not_fit_stops_the_export(
    deployment, model, events, tmp_path, requests, says
):
    wrong = DeploymentConfig(batch_sizes=(1, 2), requests=requests)
    with pytest.raises(InputError, match=says):
        export(model, events, tmp_path / "shop", deployment=wrong)
    assert list((tmp_path / "shop").iterdir()) == []
    assert not (tmp_path / "models.config").exists()


def test_a_wrong_file_is_refused(version):
    apis = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    path = version / FILE
    whole = path.read_bytes()

    def write(record):
        with tf.io.TFRecordWriter(str(path)) as file:
            file.write(record)

    def log(signature, **inputs):
        found = apis.PredictionLog()
        request = found.predict_log.request
        request.model_spec.signature_name = signature
        for name, value in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
        return found.SerializeToString()

    try:
        for record, says in [
            (b"\xff\xff", "record 1 is not a PredictionLog"),
            (b"", "record 1: log_type must be predict_log"),
            (log("nothing"), "signature_name must be one of"),
            (log("item_vector", item=["a"]), "no input 'item'"),
            (log("item_vector", item_id=[1.0]), "item_id must be string. Received: float32"),
            (log("item_vector", item_id=[["a"]]), r"item_id must have the shape"),
        ]:
            write(record)
            with pytest.raises(InputError, match=says):
                check_warmup(version)
        path.write_bytes(whole[:-3])
        with pytest.raises(InputError, match="not a TFRecord file after"):
            check_warmup(version)
    finally:
        path.write_bytes(whole)
    check_warmup(version)
