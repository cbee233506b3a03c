import math

import numpy as np
import pytest

from tfrec_fusion._compat import tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.monitoring import read_requests

apis = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")


def _write(path, *logs):
    with tf.io.TFRecordWriter(str(path)) as file:
        for log in logs:
            file.write(log if isinstance(log, bytes) else log.SerializeToString())
    return path


def _predict_log(inputs, outputs=None, signature="recommend", version=None):
    log = apis.PredictionLog()
    request = log.predict_log.request
    request.model_spec.signature_name = signature
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    for name, value in (outputs or {}).items():
        log.predict_log.response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
    if version:
        log.log_metadata.model_spec.version.value = version
    return log


def test_each_user_of_a_request_is_a_row(tmp_path):
    log = _predict_log(
        {
            "user_id": [b"u", b"k\xe4se"],
            "history": [[b"", b"a"], [b"", b""]],
            "exclude": [[b"x"], [b""]],
            "k": np.int32([2, 2]),
            "in_stock": [True, False],
            "hour": np.float32([np.nan, 7]),
        },
        {
            "item_id": [[b"b", b"c"], [b"d", b""]],
            "score": np.float32([[3, 1], [2, np.finfo(np.float32).min]]),
        },
        version=4,
    )
    log.log_metadata.timestamp_secs = 1_700_000_000
    found = read_requests(_write(tmp_path / "log-00000", log))
    assert found["time"].tolist() == [1.7e9, 1.7e9]
    assert found["signature"].tolist() == ["recommend"] * 2
    assert found["version"].tolist() == [4, 4]
    assert found["user_id"].tolist() == ["u", "k�se"]
    assert found["history"].tolist() == [["a"], []]
    assert found["items"].tolist() == [["x"], []]
    assert found["k"].tolist() == [2, 2]
    assert found["item_ids"].tolist() == [["b", "c"], ["d"]]
    assert found["scores"].tolist() == [[3, 1], [2]]
    assert found["in_stock"].tolist() == [1, 0]
    assert math.isnan(found["hour"][0]) and found["hour"][1] == 7


def test_scored_items_and_a_request_without_an_answer(tmp_path):
    inputs = {"user_id": [b"u"], "item_id": [[b"a", b"b"]]}
    scored = _predict_log(inputs, {"score": np.float32([[1, 2]])}, "score")
    found = read_requests(_write(tmp_path / "log", scored, _predict_log(inputs, None, "score")))
    assert found["items"].tolist() == [["a", "b"]] * 2
    assert found["item_ids"].tolist() == [None, None]
    assert found["scores"].tolist() == [[1, 2], None]
    assert np.isnan(found[["time", "version", "k"]].to_numpy()).all()


def test_the_default_signature_has_its_k(tmp_path):
    log = _predict_log({"user_id": [b"u"]}, None, "")
    found = read_requests(_write(tmp_path / "log", log))
    assert found["signature"].tolist() == ["serving_default"]
    assert found["k"].tolist() == [100]


def _example(**features):
    example = tf.train.Example()
    for name, value in features.items():
        if isinstance(value, float):
            example.features.feature[name].float_list.value.append(value)
        else:
            example.features.feature[name].bytes_list.value.extend(value)
    return example


def test_examples(tmp_path):
    log = apis.PredictionLog()
    log.classify_log.request.model_spec.signature_name = "classify"
    example = _example(user_id=[b"u"], item_id=[b"a"], history=[b"b", b"c"], hour=7.0)
    log.classify_log.request.input.example_list.examples.append(example)
    classes = log.classify_log.response.result.classifications.add().classes
    classes.add(label="0", score=0.8)
    classes.add(label="1", score=0.2)
    other = apis.PredictionLog()
    other.regress_log.request.model_spec.signature_name = "regress"
    other.regress_log.request.input.example_list.examples.append(_example(item_id=[b"a"]))
    other.regress_log.response.result.regressions.add(value=1.0)
    found = read_requests(_write(tmp_path / "log", log, other))
    assert found["signature"].tolist() == ["classify", "regress"]
    assert found["user_id"].tolist() == ["u", ""]
    assert found["history"].tolist() == [["b", "c"], []]
    assert found["items"].tolist() == [["a"], ["a"]]
    assert found["hour"][0] == 7
    # ln(.2 / .8); float32 knows no probability between 1 - 6e-8 and 1
    assert found["scores"][0] == pytest.approx([-math.log(4)], rel=1e-6)
    assert found["scores"][1] == pytest.approx([math.log(1 / 6e-8)], rel=1e-3)


def test_a_bad_record_is_named(tmp_path):
    good = _predict_log({"user_id": [b"u"]})
    sessions = apis.PredictionLog()
    sessions.session_run_log.SetInParent()
    uneven = _predict_log({"user_id": [b"u"], "k": np.int32([1, 2])})
    unanswered = apis.PredictionLog()
    unanswered.regress_log.request.input.example_list.examples.append(_example())
    unanswered.regress_log.response.SetInParent()
    for bad, says in (
        (b"\xff\xff", "record 2 is not a PredictionLog"),
        (sessions, "record 2: log_type must be one of .*Received: 'session_run'"),
        (uneven, "record 2: all tensors must have the same first dimension"),
        (unanswered, "record 2: the response must have one result for each of the 1 examples"),
        (_predict_log({"user_id": np.int64([7])}), "record 2: column 'user_id' must be a text"),
    ):
        with pytest.raises(InputError, match=says):
            read_requests(_write(tmp_path / "log", good, bad))


def test_a_file_of_another_kind(tmp_path):
    (tmp_path / "log.csv").write_text("user_id,k\nu,3\n")
    with pytest.raises(InputError, match=r"not a valid TFRecord file after 0 records.*\.jsonl"):
        read_requests(tmp_path / "log.csv")
