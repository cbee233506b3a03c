import json

import pytest

from tfrec_fusion.cli import main
from tfrec_fusion.deploy.models_config import read_models

pytest.importorskip("tensorflow_serving", reason='needs ".[serving]"')


@pytest.mark.slow
def test_labels_move_to_another_version(trained, tmp_path, capsys):
    for _ in range(2):
        assert main(["export", str(trained), "--to", str(tmp_path / "shop")]) == 0
    config = tmp_path / "models.config"
    assert read_models(config)["shop"]["labels"] == {"stable": 1, "canary": 2}
    capsys.readouterr()
    assert main(["labels", str(tmp_path / "shop"), "--stable", "2", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["labels"] == {"stable": 2}
    assert read_models(config)["shop"]["labels"] == {"stable": 2}
    assert main(["labels", str(tmp_path / "shop"), "--stable", "1", "--canary", "2"]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'shop'}: stable is 1, canary is 2\n"
    assert main(["labels", str(tmp_path / "shop"), "--stable", "3"]) == 2
    assert "stable must be a version" in capsys.readouterr().err
    assert main(["labels", str(tmp_path / "shop"), "--stable", "2", "--canary", "2"]) == 2
    assert "must be different versions" in capsys.readouterr().err
    assert read_models(config)["shop"]["labels"] == {"stable": 1, "canary": 2}


def test_no_deployment_files(trained, tmp_path):
    assert main(["export", str(trained), "--to", str(tmp_path / "shop"), "--no-deployment"]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"shop"}
