import pytest

from tfrec_fusion._compat import tf
from tfrec_fusion.monitoring import compare, read_requests, write_summaries


def test_scalars_and_histograms(exported, logs, tmp_path):
    report = compare(exported, read_requests(logs["drifted"]))
    write_summaries(report, tmp_path)
    (path,) = tmp_path.iterdir()
    found = {}
    for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
        event = tf.compat.v1.Event.FromString(record)
        for value in event.summary.value:
            found[value.tag] = tf.make_ndarray(value.tensor)
            assert event.step == int(report.end)
    unknown = report.figure("unknown_users").value
    assert found["monitoring/unknown_users"] == pytest.approx(unknown)
    assert found["monitoring/requests"] == 600
    # left edge, right edge and count of each bucket
    assert found["monitoring/score"][:, 2].sum() == len(report.samples["score"])
    assert "monitoring/history" in found
