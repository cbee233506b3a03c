"""A ranker of several heads from the command line."""

import json

import numpy as np
import pandas as pd
import pytest
import yaml

from tfrec_fusion._compat import tf
from tfrec_fusion.cli import main
from tfrec_fusion.training import Run


@pytest.mark.slow
def test_a_config_names_the_labels_and_heads(small_shop, tmp_path, capsys):
    events = pd.read_parquet(small_shop / "interactions.parquet")
    spend = np.random.default_rng(0).exponential(size=len(events))
    events["spend"] = np.where(np.arange(len(events)) % 4, spend, None).astype(float)
    events.to_parquet(tmp_path / "events.parquet")
    heads = {
        "taken": "binary",
        "spend": {"kind": "zero_inflated_log_normal", "weight": 0.5},
    }
    config = {
        "model": {
            "kind": "ranker",
            "dim": 4,
            "backbone": "mmoe",
            "backbone_options": {"hidden": [5]},
            "heads": heads,
            "rank_by": {"taken": 1, "spend": 0.1},
            "loss_weighting": "uncertainty",
        },
        "examples": {"kind": "ranking", "negatives": 2},
        "batch_size": 64,
        "epochs": 1,
    }
    path = tmp_path / "shop.yaml"
    files = ["--interactions", str(tmp_path / "events.parquet"), "--config", str(path)]
    files += ["--items", str(small_shop / "items.parquet"), "--out", str(tmp_path / "run")]
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    assert main(["train", *files]) == 2
    error = capsys.readouterr().err
    assert "'taken': the events have no label 'taken'" in error and "data.labels" in error
    assert "or give taken or spend label='label'" in error
    path.write_text(yaml.safe_dump(config | {"data": {"labels": ["spend"]}}, sort_keys=False))
    assert main(["train", *files, "--overwrite"]) == 0
    saved = yaml.safe_load((tmp_path / "run/config.yaml").read_text())
    assert saved["data"]["labels"] == ["spend"]
    model = Run.open(tmp_path / "run").model()
    assert list(model.heads) == ["taken", "spend"] and model.backbone.tasks == 2
    assert all(np.isfinite(weight).all() for weight in model.get_weights())
    report = tmp_path / "report.json"
    assert main(["evaluate", str(tmp_path / "run"), "--json", str(report)]) == 0
    assert 0 < json.loads(report.read_text())["evaluation"]["gauc"] < 1
    shop = tmp_path / "shop"
    assert main(["export", str(tmp_path / "run"), "--to", str(shop), "--no-deployment"]) == 0
    signature = tf.saved_model.load(str(shop / "1")).signatures["serving_default"]
    assert {"score", "probability", "taken", "spend"} == set(signature.structured_outputs)
