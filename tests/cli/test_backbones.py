"""Backbones that a config names, from the command line."""

import json

import numpy as np
import pytest
import yaml
from interaction_cases import BACKBONE_OPTIONS

from tfrec_fusion.cli import main
from tfrec_fusion.models import BACKBONES
from tfrec_fusion.training import Run

NAMES = [
    pytest.param(name, marks=pytest.mark.slow if name == "auto_int" else pytest.mark.acceptance)
    for name in BACKBONES
]


@pytest.mark.parametrize("name", NAMES)
def test_a_config_names_it(arguments, name, tmp_path):
    own = dict(BACKBONE_OPTIONS[name])
    given = {n: own.pop(n) for n in ("cross_layers", "hidden") if name == "dcn_v2"}
    model = {"kind": "ranker", "dim": 4, "backbone": name, "backbone_options": own, **given}
    values = {"model": model, "examples": {"kind": "ranking", "negatives": 2}, "epochs": 1}
    (tmp_path / "ranker.yaml").write_text(yaml.safe_dump(values | {"batch_size": 64}))
    run, report = tmp_path / "run", tmp_path / "report.json"
    options = ["--config", str(tmp_path / "ranker.yaml"), "--out", str(run)]
    assert main(["train", *arguments, *options]) == 0
    assert main(["evaluate", str(run), "--json", str(report)]) == 0
    assert 0 < json.loads(report.read_text())["evaluation"]["gauc"] < 1
    trained = Run.open(run).model()
    assert type(trained.backbone) is BACKBONES.class_of(name)
    for option, value in BACKBONE_OPTIONS[name].items():
        assert trained.backbone.get_config()[option] == value
    assert all(np.isfinite(weight).all() for weight in trained.get_weights())
    assert main(["export", str(run), "--to", str(tmp_path / "export")]) == 0
    assert (tmp_path / "export/1/saved_model.pb").is_file()
