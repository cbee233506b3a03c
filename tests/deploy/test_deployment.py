import logging
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from tfrec_fusion.deploy import DeploymentConfig, label_versions, protos
from tfrec_fusion.deploy import deployment as files
from tfrec_fusion.deploy.deployment import HEADER, new_version_with_deployment
from tfrec_fusion.deploy.models_config import read_models
from tfrec_fusion.errors import InputError

NAMES = {
    "models.config",
    "models.canary.config",
    "monitoring.config",
    "docker-compose.yml",
    "kubernetes.yaml",
}


@pytest.fixture
def write(deployment, monkeypatch):
    """A function that writes a version; what is in it does not matter here."""
    monkeypatch.setattr(files, "write_warmup", lambda folder, deployment: None)

    def write(base, options=deployment):
        with new_version_with_deployment(base, options) as (folder, result):
            (folder / "saved_model.pb").write_bytes(b"graph")
        return int(result[0].name)

    return write


def _visible(folder):
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")}


def test_the_files_stand_beside_the_models(write, tmp_path):
    write(tmp_path / "shop")
    assert _visible(tmp_path) == NAMES | {"shop"}
    assert {path.name for path in tmp_path.glob(".*")} == {".deployment.lock"}
    for name in NAMES:
        assert (tmp_path / name).read_text().startswith(HEADER)


def test_the_batching_of_tf_serving_is_written_where_it_is_asked_for(write, tmp_path):
    write(tmp_path / "shop", DeploymentConfig(merging="session"))
    assert "--enable_batching=true" in (tmp_path / "docker-compose.yml").read_text()
    text = (tmp_path / "batching_parameters.txt").read_text()
    assert text.startswith(HEADER) and "pad_variable_length_inputs:" not in text


def test_memory_counts_all_versions_that_are_loaded(deployment, monkeypatch, tmp_path):
    monkeypatch.setattr(files, "write_warmup", lambda folder, deployment: None)
    for mib in (1, 2, 4):
        with new_version_with_deployment(tmp_path / "shop", deployment) as (folder, _):
            (folder / "saved_model.pb").write_bytes(b"0" * mib * 2**20)
    text = (tmp_path / "docker-compose.yml").read_text()
    # Stable, canary and the third that waits: 1, 2 and 4 MiB; and three times 4.
    assert f"mem_limit: {1024 + 7 + 12}m" in text


def test_a_trial_and_its_end(write, tmp_path):
    base = tmp_path / "shop"

    def now():
        model = read_models(tmp_path / "models.config")["shop"]
        canary = read_models(tmp_path / "models.canary.config")["shop"]
        assert len(set(canary["labels"].values())) == 1
        return model["labels"], model["versions"], canary["versions"]

    write(base)
    assert now() == ({"stable": 1}, [1], [1])
    write(base)
    assert now() == ({"stable": 1, "canary": 2}, [1, 2], [2])
    # The trial goes on; the third is loaded and waits.
    write(base)
    assert now() == ({"stable": 1, "canary": 2}, [1, 2, 3], [2])
    label_versions(base, stable=2, canary=3)
    assert now() == ({"stable": 2, "canary": 3}, [2, 3], [3])
    label_versions(base, stable=3)
    assert now() == ({"stable": 3}, [3], [3])
    with pytest.raises(InputError, match=r"canary must be a version.*\[1, 2, 3\].*Received: 9"):
        label_versions(base, stable=3, canary=9)


def test_models_share_the_files(write, tmp_path):
    write(tmp_path / "shop")
    write(tmp_path / "books")
    write(tmp_path / "shop")
    found = read_models(tmp_path / "models.config")
    assert found["books"]["labels"] == {"stable": 1}
    assert found["shop"]["labels"] == {"stable": 1, "canary": 2}


def test_a_file_of_the_user_stays(write, tmp_path, caplog):
    (tmp_path / "docker-compose.yml").write_text("services: {}\n")
    (tmp_path / "models.config").write_text("# mine\nmodel_config_list {}\n")
    with caplog.at_level(logging.WARNING):
        write(tmp_path / "shop")
    assert (tmp_path / "docker-compose.yml").read_text() == "services: {}\n"
    assert (tmp_path / "models.config").read_text().startswith("# mine")
    assert "docker-compose.yml is your own" in caplog.text
    assert (tmp_path / "kubernetes.yaml").exists()


def test_wrong_options_write_nothing(write, tmp_path):
    write(tmp_path / "shop")
    before = (tmp_path / "models.config").read_text()
    wrong = {"max_batch_sizes": 3}
    with pytest.raises(InputError, match="max_batch_sizes"):
        write(tmp_path / "shop", DeploymentConfig(merging="session", batching=wrong))
    with pytest.raises(
        InputError, match=r"merging='session' or omit batching. Received: merging='graph'"
    ):
        write(tmp_path / "shop", DeploymentConfig(batching=wrong))
    assert _visible(tmp_path / "shop") == {"1"}
    assert (tmp_path / "models.config").read_text() == before
    assert {path.name for path in tmp_path.glob(".*")} == {".deployment.lock"}


def test_a_full_disk_leaves_no_version(write, tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write(tmp_path / "shop")
    assert _visible(tmp_path) == {"shop"}
    assert list((tmp_path / "shop").iterdir()) == []


def test_exports_at_once_all_get_into_the_config(write, tmp_path):
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(write, [tmp_path / f"shop{i % 2}" for i in range(8)]))
    assert sorted(found) == [1, 1, 2, 2, 3, 3, 4, 4]
    models = read_models(tmp_path / "models.config")
    assert set(models) == {"shop0", "shop1"}
    for model in models.values():
        assert model["labels"] == {"stable": 1, "canary": 2}


def test_without_the_extra_it_says_so(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(protos, "present", lambda: False)
    caplog.set_level(logging.WARNING)
    with new_version_with_deployment(tmp_path / "shop", None) as (folder, _):
        (folder / "saved_model.pb").write_bytes(b"graph")
    assert 'pip install "tfrec-fusion[serving]"' in caplog.text
    assert _visible(tmp_path) == {"shop"}


def test_no_deployment_files(write, tmp_path, caplog):
    write(tmp_path / "shop", False)
    assert _visible(tmp_path) == {"shop"}
    assert not caplog.text
