"""saved_models/ and its README fit what is exported."""

import json
import re
from pathlib import Path

import pytest

from tfrec_fusion._compat import tf
from tfrec_fusion.export.signatures import CATALOGUE_SIGNATURES

NOT_ASKED = {"explain", "search", "search_text", "search_vector"}
NAMES = {one.name for one in CATALOGUE_SIGNATURES} - NOT_ASKED
FOLDER = Path(__file__).parents[2] / "saved_models"


def test_requests_of_the_readme_are_answered(exported):
    served = tf.saved_model.load(str(exported))
    bodies = re.findall(r"curl -d '(.*?)' \$URL", (FOLDER / "README.md").read_text(), re.DOTALL)
    asked = set()
    for body in map(json.loads, bodies):
        name = body.get("signature_name", "serving_default")
        function = served.signatures[name]
        dtypes = {key: spec.dtype for key, spec in function.structured_input_signature[1].items()}
        inputs = {key: tf.constant(value, dtypes[key]) for key, value in body["inputs"].items()}
        outputs = function(**inputs)
        assert {len(value) for value in outputs.values()} == {len(next(iter(inputs.values())))}
        asked.add(name)
    assert asked == NAMES


def test_the_config_is_one_that_tf_serving_reads(exported):
    config = pytest.importorskip(
        "tensorflow_serving.config.model_server_config_pb2", reason='needs ".[serving]"'
    )
    from google.protobuf import text_format

    text = (exported.parents[1] / "models.config").read_text()
    (model,) = text_format.Parse(text, config.ModelServerConfig()).model_config_list.config
    assert (model.name, model.base_path) == ("shop", "/models/shop")
    assert model.model_platform == "tensorflow"
    assert dict(model.version_labels) == {"stable": 1}
