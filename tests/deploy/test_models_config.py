import pytest

from tfrec_fusion.deploy.models_config import (
    check_models_config,
    config_text,
    model_fields,
    next_labels,
    read_models,
)
from tfrec_fusion.errors import InputError


@pytest.mark.parametrize(
    ("current", "present", "new", "expected"),
    [
        ({}, [1], 1, {"stable": 1}),
        ({"stable": 1}, [1, 2], 2, {"stable": 1, "canary": 2}),
        # TF Serving takes no label that moves to a version that it has yet to load.
        ({"stable": 1, "canary": 2}, [1, 2, 3], 3, {"stable": 1, "canary": 2}),
        ({"stable": 2}, [2, 3], 3, {"stable": 2, "canary": 3}),
        # The stable version was deleted.
        ({"stable": 1, "canary": 2}, [2, 3], 3, {"stable": 2, "canary": 2}),
        ({"stable": 1}, [2], 2, {"stable": 2}),
    ],
)
def test_labels_after_an_export(current, present, new, expected):
    assert next_labels(current, present, new) == expected


def test_the_config_comes_back(deployment, tmp_path):
    models = [model_fields("shop", {"stable": 3, "canary": 4}, [7]), model_fields("b", {})]
    (tmp_path / "models.config").write_text(config_text(models))
    found = read_models(tmp_path / "models.config")
    assert found["shop"]["labels"] == {"stable": 3, "canary": 4}
    assert found["shop"]["versions"] == [3, 4, 7]
    assert found["b"]["labels"] == {}
    again = config_text([model["fields"] for model in found.values()])
    assert again == config_text(models)
    assert read_models(tmp_path / "none") == {}


def _changed(**fields):
    return {**model_fields("shop", {"stable": 3}), **fields}


@pytest.mark.parametrize(
    ("models", "says"),
    [
        ([_changed(version_labels={"stable": 4})], r"'stable' must be one of.*\[3\].*Received: 4"),
        ([_changed(version_labels={"my label": 3})], "version_labels may have letters.*my label"),
        ([_changed(base_path="models/shop")], "base_path must be absolute"),
        ([_changed(name="")], "name must not be empty"),
        ([_changed(model_platform="torch")], "model_platform must be 'tensorflow'"),
        ([_changed(), _changed()], "models must have different names"),
        ([_changed(versions=[3])], 'no field named "versions"'),
    ],
)
def test_what_tf_serving_would_refuse(deployment, models, says):
    with pytest.raises(InputError, match=rf"models\.config: .*{says}"):
        config_text(models)


def test_a_text_with_a_wrong_field(deployment):
    with pytest.raises(InputError, match=r'line 1.*no field named "model_list"'):
        check_models_config("model_list {}")
