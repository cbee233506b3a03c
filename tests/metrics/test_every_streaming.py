"""What every streaming metric must do, and a ranker that is compiled with them."""

import numpy as np
import pytest

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.errors import InputError
from tfrec_fusion.examples import ranking_examples
from tfrec_fusion.metrics import (
    ExpectedCalibrationError,
    NormalisedEntropy,
    expected_calibration_error,
    log_loss,
    normalised_entropy,
)
from tfrec_fusion.models import Ranker

# Keras's own is the log loss.
METRICS = {
    "entropy": (NormalisedEntropy, normalised_entropy),
    "calibration": (ExpectedCalibrationError, expected_calibration_error),
    "log_loss": (keras.metrics.BinaryCrossentropy, log_loss),
}


@pytest.fixture(params=METRICS)
def pair(request):
    return METRICS[request.param]


def _rows(n=200):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(n, 1)).astype(np.float32)
    labels = (rng.random((n, 1)) < 1 / (1 + np.exp(-logits))).astype(np.float32)
    return labels, logits


def test_batches_are_one_stream_in_eager_mode_and_in_a_graph(pair):
    make, function = pair
    labels, logits = _rows()
    expected = function(labels.ravel(), logits.ravel(), from_logits=True)
    eager, graph = make(from_logits=True), make(from_logits=True)

    @tf.function(reduce_retracing=True)
    def update(labels, logits):
        graph.update_state(labels, logits)

    for start, stop in ((0, 50), (50, 51), (51, 200)):
        eager.update_state(labels[start:stop], logits[start:stop])
        update(tf.constant(labels[start:stop]), tf.constant(logits[start:stop]))
    np.testing.assert_allclose(eager.result(), expected, rtol=1e-5)
    np.testing.assert_allclose(graph.result(), expected, rtol=1e-5)
    eager.reset_state()
    eager.update_state(labels[:90], logits[:90])
    expected = function(labels[:90].ravel(), logits[:90].ravel(), from_logits=True)
    np.testing.assert_allclose(eager.result(), expected, rtol=1e-5)


def test_probabilities_and_columns_without_an_axis(pair):
    make, function = pair
    labels, logits = (values[:, 0] for values in _rows())
    p = 1 / (1 + np.exp(-logits))
    metric = make(from_logits=False)
    if make is keras.metrics.BinaryCrossentropy:
        labels, p = labels[:, None], p[:, None]
    metric.update_state(labels, p)
    np.testing.assert_allclose(metric.result(), function(labels.ravel(), p.ravel()), rtol=1e-4)


def test_a_weight_counts_a_row_as_often(pair):
    make, _ = pair
    labels, logits = _rows(60)
    times = np.arange(60) % 3
    weighted, repeated = make(from_logits=True), make(from_logits=True)
    weighted.update_state(labels, logits, times)
    repeated.update_state(np.repeat(labels, times, 0), np.repeat(logits, times, 0))
    np.testing.assert_allclose(weighted.result(), repeated.result(), rtol=1e-5)


def test_half_precision_stays_close(pair):
    make, _ = pair
    labels, logits = _rows()
    half, full = make(from_logits=True), make(from_logits=True)
    half.update_state(tf.cast(labels, tf.bfloat16), tf.cast(logits, tf.bfloat16))
    full.update_state(labels, logits)
    np.testing.assert_allclose(half.result(), full.result(), rtol=0.1)


@pytest.mark.parametrize(
    "metric", [NormalisedEntropy(False, "ne"), ExpectedCalibrationError(7, from_logits=False)]
)
def test_a_config_rebuilds_it(metric):
    saved = keras.saving.serialize_keras_object(metric)
    assert saved["registered_name"].startswith("tfrec_fusion>")
    again = keras.saving.deserialize_keras_object(saved)
    assert again.get_config() == metric.get_config()


def test_one_label_alone_and_no_rows():
    metric = NormalisedEntropy()
    metric.update_state([[1.0]], [[0.5]])
    assert np.isnan(metric.result())
    assert np.isnan(ExpectedCalibrationError().result())
    with pytest.raises(InputError, match=r"ExpectedCalibrationError: bins must be .*ived: 0"):
        ExpectedCalibrationError(0)


def test_a_compiled_ranker_logs_them_and_keeps_them(make_events, tmp_path):
    events = make_events([("uvw"[i % 3], "abcdefgh"[i % 8], i) for i in range(24)])
    batches = ranking_examples(events, 8, negatives=2, shuffle=False, horizon_days=0.0)
    model = Ranker(events, dim=4, hidden=[4])
    model.compile("sgd", metrics=[NormalisedEntropy(), ExpectedCalibrationError(5)])
    logs = model.evaluate(batches, verbose=0, return_dict=True)
    labels, logits = (
        np.concatenate([np.ravel(values) for values in column])
        for column in zip(*((batch["label"], model(batch)) for batch in batches), strict=True)
    )
    expected = normalised_entropy(labels, logits, from_logits=True)
    assert logs["normalised_entropy"] == pytest.approx(expected, rel=1e-4)
    expected = expected_calibration_error(labels, logits, 5, from_logits=True)
    assert logs["expected_calibration_error"] == pytest.approx(expected, rel=1e-4)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    again = loaded.evaluate(batches, verbose=0, return_dict=True)
    assert again == pytest.approx(logs, rel=1e-4)
