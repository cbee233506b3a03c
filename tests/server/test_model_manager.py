import os

import pytest

from tfrec_fusion.deploy import protos
from tfrec_fusion.deploy.status import StatusError
from tfrec_fusion.errors import InputError
from tfrec_fusion.server.model_config import ModelConfig, models_of, read_models
from tfrec_fusion.server.model_manager import ModelManager

pytest.importorskip("tensorflow_serving", reason='needs ".[serving]"')

CONFIG = """model_config_list {{ config {{
  name: "shop" base_path: "{base}" model_platform: "tensorflow"
  model_version_policy {{ {policy} }} {labels}
}} }}"""


def config(base, policy="latest {}", **labels):
    written = " ".join(f'version_labels {{ key: "{k}" value: {v} }}' for k, v in labels.items())
    return CONFIG.format(base=base, policy=policy, labels=written)


def message(*about, **labels):
    return protos.parse("ModelServerConfig", config(*about, **labels), "models.config")


class Loaded:
    def __init__(self, name, version, path):
        self.name, self.version, self.closed = name, version, False
        self.users = 0

    def acquire(self):
        self.users += 1
        return not self.closed

    def release(self):
        self.users -= 1

    def retire(self):
        self.closed = True


@pytest.fixture
def base(tmp_path):
    for version in (1, 2):
        (tmp_path / "shop" / str(version)).mkdir(parents=True)
    return tmp_path / "shop"


@pytest.fixture
def manage(base):
    managers = []

    def manage(models, **options):
        manager = ModelManager(models, load=Loaded, **options)
        managers.append(manager)
        manager.start()
        return manager

    yield manage
    for manager in managers:
        manager.stop()


def version_of(manager, *about, **more):
    with manager.servable(*about, **more) as servable:
        assert servable.users > 0
        return servable.version


def test_versions_and_labels(base, manage):
    policy = "specific { versions: 1 versions: 2 }"
    manager = manage(models_of(message(base, policy, stable=1, canary=2)), poll_seconds=0)
    assert version_of(manager, "shop") == 2
    assert version_of(manager, "shop", version=1) == 1
    assert version_of(manager, "shop", label="stable") == 1
    assert manager.labels == {"shop": {"stable": 1, "canary": 2}}
    with pytest.raises(StatusError, match=r"Servable not found for request: Specific\(shop, 3\)"):
        version_of(manager, "shop", version=3)
    with pytest.raises(StatusError, match="Unrecognized servable version label: none"):
        version_of(manager, "shop", label="none")


def test_a_label_moves_to_a_version_that_is_loaded_only(base, manage):
    """Which is why exports never ask for another move."""
    manager = manage(models_of(message(base, "specific { versions: 1 }", stable=1)), poll_seconds=0)
    with pytest.raises(StatusError, match="Request to assign label to version 2 of model shop"):
        manager.reload(message(base, "specific { versions: 2 }", stable=2))
    assert version_of(manager, "shop", label="stable") == 1
    manager.reload(message(base, "all {}", stable=1, canary=2))
    assert version_of(manager, "shop", label="canary") == 2
    manager.reload(message(base, "specific { versions: 2 }", stable=2))
    assert version_of(manager, "shop", label="stable") == 2
    assert manager.status("shop")[1].state == "END"


def test_models_come_and_go_with_the_config(base, manage, tmp_path):
    manager = manage(models_of(message(base)), poll_seconds=0)
    (tmp_path / "other" / "5").mkdir(parents=True)
    text = config(tmp_path / "other").replace('"shop"', '"other"')
    manager.reload(protos.parse("ModelServerConfig", text, "x"))
    assert version_of(manager, "other") == 5
    with pytest.raises(StatusError, match=r"Latest\(shop\)"):
        version_of(manager, "shop")
    with pytest.raises(StatusError, match="Could not find any versions of model shop"):
        manager.status("shop")


def test_the_file_is_read_again(base, manage, tmp_path):
    path = tmp_path / "models.config"
    path.write_text(config(base, "specific { versions: 1 }"))
    manager = manage(read_models(path), config_file=path, poll_seconds=0)
    path.write_text(config(base, "specific { versions: 2 }  "))
    manager.look()
    manager.look()
    assert version_of(manager, "shop") == 2
    path.write_text("nonsense {")
    manager.look()
    assert version_of(manager, "shop") == 2


def test_new_versions_are_found(base, manage):
    manager = manage([ModelConfig("shop", base)], poll_seconds=0.01)
    (base / "3").mkdir()
    for _ in range(1000):
        if version_of(manager, "shop") == 3:
            break
        manager._stopped.wait(0.01)
    assert version_of(manager, "shop") == 3


def test_a_folder_without_versions(tmp_path, manage):
    with pytest.raises(
        InputError, match=r"serve: model 'shop': .* has no version to serve; export"
    ):
        manage([ModelConfig("shop", tmp_path)])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (config("relative"), "Expected model shop to have an absolute path"),
        (config("/x").replace('"tensorflow"', '""'), "Illegal setting neither"),
        (
            'model_config_list { config { name: "a" base_path: "/a" model_platform: "t" } '
            'config { name: "a" base_path: "/b" model_platform: "t" } }',
            "Illegal to list model a multiple times",
        ),
        ("custom_model_config {}", "custom_model_config is not supported"),
        ("model_config_lists {}", "model_config_lists"),
    ],
)
def test_configs_that_are_refused(tmp_path, text, says):
    path = tmp_path / "models.config"
    path.write_text(text)
    with pytest.raises(InputError, match=says):
        read_models(path)


def test_a_config_that_is_refused_is_told_once_for_each_content(base, manage, tmp_path):
    path, told = tmp_path / "models.config", []
    path.write_text(config(base))
    manager = manage(
        read_models(path),
        config_file=path,
        poll_seconds=0,
        log=lambda event, **fields: told.append(event),
    )
    told.clear()
    for text, times in (("nonsense", 1), ("more nonsense", 2), ("nonsense", 3)):
        path.write_text(text)
        for _ in range(3):
            manager.look()
        os.utime(path, (1, 1))  # written again, and the same
        manager.look()
        assert told == ["config_refused"] * times
    path.write_text(config(base, "specific { versions: 2 }"))
    manager.look()
    assert "config_read" in told


def test_the_folder_of_the_image_is_that_of_the_config(base, tmp_path):
    path = tmp_path / "models.config"
    path.write_text(config("/models/shop"))
    assert read_models(path)[0].base == base
    with pytest.raises(InputError, match="config file does not exist"):
        read_models(tmp_path / "none.config")
