"""Files of settings: what is said twice is refused, as one of the two would be lost."""

import json

import numpy as np
import pytest

from tfrec_fusion.config import read_json, read_mapping
from tfrec_fusion.embeddings import VectorStore
from tfrec_fusion.errors import InputError
from tfrec_fusion.monitoring import read_requests
from tfrec_fusion.rerank.rules import Rules
from tfrec_fusion.training import RunConfig

TWICE_YAML = "block:\n  items: [a]\nboost: []\nblock:\n  items: [b]\n"
TWICE_JSON = '{"block": {"items": ["a"]}, "block": {"items": ["b"]}}'


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("rules.yaml", TWICE_YAML, ["'block'", "twice", "lines 1 and 4"]),
        ("rules.json", TWICE_JSON, ["'block'", "twice"]),
        ("flow.yaml", '{"block": 1, block: 2}', ["'block'", "twice", "lines 1 and 1"]),
        ("nested.yaml", "a:\n- b: {c: 1, c: 2}\n", ["'c'", "twice"]),
        ("nested.json", '{"a": [{"c": 1, "c": 2}]}', ["'c'", "twice"]),
        ("deep.json", "[" * 100_000, ["deep.json", "not readable"]),
    ],
)
def test_a_key_that_occurs_twice_is_refused(tmp_path, name, text, words):
    path = tmp_path / name
    path.write_text(text)
    for load in (Rules.load, RunConfig.load, lambda path: read_mapping(path, "settings")):
        with pytest.raises(InputError) as caught:
            load(path)
        message = str(caught.value)
        assert "\n" not in message
        assert [word for word in [str(path), *words] if word not in message] == []


def test_the_same_key_in_two_mappings_and_merges_are_fine(tmp_path):
    path = tmp_path / "settings.yaml"
    path.write_text("base: &base {a: 1, b: 2}\nother:\n  <<: *base\n  a: 3\n")
    assert read_mapping(path, "x")["other"] == {"a": 3, "b": 2}


def test_json_has_the_numbers_of_json(tmp_path):
    path = tmp_path / "settings.JSON"
    path.write_text('{"rate": 1e-3}')
    assert read_mapping(path, "x") == read_json(path, "x") == {"rate": 0.001}


def test_a_stores_manifest_and_logged_requests_too(tmp_path):
    VectorStore.write(tmp_path / "store", ["a"], np.ones((1, 2)))
    manifest = tmp_path / "store" / "manifest.json"
    text = manifest.read_text()
    manifest.write_text(text.replace("{", '{"rows": 1,', 1))
    with pytest.raises(InputError, match=r"manifest.json .*'rows' occurs twice"):
        VectorStore.open(tmp_path / "store")
    log = tmp_path / "log.jsonl"
    log.write_text(json.dumps({"user_id": "u"}) + '\n{"user_id": "u", "user_id": "v"}\n')
    with pytest.raises(InputError, match=r"line 2 .*'user_id' occurs twice"):
        read_requests(log)
