import pytest

from tfrec_fusion.errors import InputError
from tfrec_fusion.training import RunConfig

DATA = {"interactions": "events.parquet", "items": "items.parquet"}
MODEL = {
    "fusion": "delta",
    "fusion_options": {"bound": None},
    "modality_dropout": 0.1,
    "storage": {"text": "float16"},
    "alignment": 0.01,
    "distillation": 0.1,
}


def test_a_file_has_every_option_of_a_fusion(tmp_path):
    config = RunConfig.of({"data": DATA, "model": MODEL})
    assert config.model.model_dump(include=set(MODEL)) == MODEL
    path = tmp_path / "run.yaml"
    path.write_text(config.to_yaml())
    assert RunConfig.load(path).model == config.model


@pytest.mark.parametrize("kind", ["two_tower", "ranker"])
@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            {"fusion": "stir"},
            "config: model.fusion: must be one of sum, [^R]*Received: 'stir'$",
        ),
        (
            {"fusion": "sum", "fusion_options": {"k": 1}},
            "config: model.fusion_options: fusion 'sum' takes no opt",
        ),
        ({"storage": {"text": "int4"}}, "config: model.storage: must be one of float32, "),
    ],
)
def test_what_no_fusion_takes(kind, options, says):
    with pytest.raises(InputError, match=says):
        RunConfig.of({"data": DATA, "model": {"kind": kind, **options}})
