import json
import re
from pathlib import Path

import pytest

from tfrec_fusion.server.metrics import Metrics

DASHBOARD = Path(__file__).parents[2] / "docs" / "grafana.json"


def test_a_histogram():
    """Bounds are 10 * 1.8^i microseconds; 20 ms lie below the 14th, 10 * 1.8^13 = 20,823."""
    metrics = Metrics()
    metrics.observe("request_latency", 0.02, "shop", "predict", "REST")
    metrics.observe("request_latency", 1e6, "shop", "predict", "REST")
    name, labels = ":tensorflow:serving:request_latency", 'model_name="shop",API="predict"'
    labels += ',entrypoint="REST"'
    page = metrics.page().splitlines()
    assert f"# TYPE {name} histogram" in page
    buckets = [line for line in page if line.startswith(f"{name}_bucket")]
    assert len(buckets) == 33
    assert [int(line.split()[-1]) for line in buckets] == [0] * 13 + [1] * 19 + [2]
    assert f'{name}_bucket{{{labels},le="18"}} 0' == buckets[1]
    assert f'{name}_bucket{{{labels},le="+Inf"}} 2' == buckets[-1]
    assert f"{name}_sum{{{labels}}} 1e+12" in page
    assert f"{name}_count{{{labels}}} 2" in page


def test_names_are_escaped():
    metrics = Metrics()
    metrics.count("request_count", 3, 'a"\\\n', "OK")
    assert '{model_name="a\\"\\\\\\n",status="OK"} 3' in metrics.page()


@pytest.mark.skipif(not DASHBOARD.is_file(), reason="the docs are not here")
def test_the_dashboard_asks_for_what_there_is():
    metrics = Metrics()
    metrics.gauge("tfrec_fusion_in_flight_requests", lambda: 0)
    known = set(re.findall(r"^# TYPE (\S+)", metrics.page(), re.MULTILINE))
    panels = json.loads(DASHBOARD.read_text())["panels"]
    asked = {
        name.removesuffix("_bucket")
        for panel in panels
        for target in panel["targets"]
        for name in re.findall(r":tensorflow:[\w:]+|tfrec_fusion_\w+", target["expr"])
    }
    assert asked <= known
    assert len(asked) >= 6


def test_labels_are_bounded():
    metrics = Metrics()
    for name in map(str, range(5000)):
        metrics.count("request_count", 1, name, "OK")
        metrics.observe("request_latency", 0.1, name, "Predict", "GRPC")
    page = metrics.page()
    assert page.count(":tensorflow:serving:request_count{") == 1001
    assert ':tensorflow:serving:request_count{model_name="",status=""} 4000' in page
    assert page.count(":tensorflow:serving:request_latency_count{") == 1001
