import numpy as np
import pandas as pd
import pytest

from tfrec_fusion.data import Catalogue
from tfrec_fusion.errors import InputError
from tfrec_fusion.rerank.compiled_rules import CompiledRules
from tfrec_fusion.rerank.rules import Rules

SHOP = Catalogue(
    pd.DataFrame(
        {
            "item_id": ["a", "b", "c", "d"],
            "category": ["cheese", "wine", "cheese", None],
            "tags": [["x", "y"], [], ["y"], None],
            "price": [1.0, 2.0, np.nan, 4.0],
            "fresh": pd.array([True, False, None, True], "boolean"),
        }
    )
)


def _compiled(**rules):
    return CompiledRules.of(Rules.of(rules), SHOP)


@pytest.mark.parametrize(
    ("match", "hit"),
    [
        ({"category": "cheese"}, [1, 0, 1, 0]),
        ({"category": ["wine", "cheese"]}, [1, 1, 1, 0]),
        ({"tags": "y"}, [1, 0, 1, 0]),
        ({"price": 2}, [0, 1, 0, 0]),
        ({"price": [1, 4.0]}, [1, 0, 0, 1]),
        ({"price": {"min": 2}}, [0, 1, 0, 1]),
        ({"price": {"min": 1, "max": 2}}, [1, 1, 0, 0]),
        ({"fresh": True}, [1, 0, 0, 1]),
        ({"category": "cheese", "fresh": True}, [1, 0, 0, 0]),
    ],
)
def test_what_a_match_hits(match, hit):
    assert _compiled(block=[{"match": match}]).blocked.tolist() == [bool(h) for h in hit]


def test_boosts_add_up_as_logarithms():
    # a and c: log 2; a also log 3: log 6 in all.
    found = _compiled(
        boost=[{"match": {"category": "cheese"}, "factor": 2}, {"item": "a", "factor": 3}]
    )
    np.testing.assert_allclose(found.boosts, np.log([6, 1, 2, 1]), rtol=1e-6)


def test_a_blocked_item_is_not_pinned():
    found = _compiled(
        block=[{"item": "b"}],
        pin=[
            {"item": "c", "position": 3},
            {"item": "b", "position": 2},
            {"item": "d", "position": 1},
        ],
    )
    assert found.pin_rows.tolist() == [3, 2]
    assert found.pin_positions.tolist() == [0, 2]


def test_no_item_matches(caplog):
    assert not _compiled(block=[{"match": {"category": "bread"}}]).blocked.any()
    assert "rules: block.0.match: no item has {'category': 'bread'}" in caplog.text


def test_yaml_and_json(tmp_path):
    yaml, json = tmp_path / "rules.yaml", tmp_path / "rules.json"
    yaml.write_text("cap: [{by: category, at_most: 2}]\nblock:\n- match: {category: käse}\n")
    json.write_text(
        '{"cap": [{"by": "category", "at_most": 2}], "block": [{"match": {"category": "käse"}}]}'
    )
    assert Rules.load(yaml) == Rules.load(json)
    for text, says in [
        ("- a", "must hold a mapping of keys to values. Received: list"),
        ("a: [", "not readable as YAML or JSON"),
        ("pin: [{item: a, position: 0}]", r"rules.yaml: pin.0.position: Input should be greater"),
    ]:
        yaml.write_text(text)
        with pytest.raises(InputError, match=says):
            Rules.load(yaml)
    with pytest.raises(InputError, match="rules: cannot read the file"):
        Rules.load(tmp_path / "absent")


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ({"bost": []}, "bost: unknown key; the keys here are boost, block, pin, cap"),
        ({"cap": [{"by": "category", "most": 1}]}, "cap.0.at_most: this key is needed"),
        (
            {"boost": [{"item": "a", "factor": 2, "weight": 1}]},
            "boost.0.weight: unknown key; the keys here are item, match, factor",
        ),
        ({"boost": [{"item": "a", "factor": 0}]}, "boost.0.factor: .* greater than 0. Received: 0"),
        ({"boost": [{"item": "a", "factor": float("inf")}]}, "boost.0.factor: .* finite"),
        ({"block": [{}]}, "block.0: give either item or match"),
        ({"block": [{"item": "a", "match": {"category": "x"}}]}, "give either item or match"),
        ({"block": [{"item": 7}]}, "block.0.item: .*put it in quotes. Received: 7"),
        ({"block": [{"item": "z"}]}, "block.0.item: the catalogue has no such item.*'z'"),
        ({"pin": [{"item": "z", "position": 1}]}, "pin.0.item: the catalogue has no such item"),
        ({"pin": [{"item": "a", "position": 1001}]}, "pin.0.position: .*1000. Received: 1001"),
        (
            {"pin": [{"item": "a", "position": 1}, {"item": "a", "position": 2}]},
            "pin.1.item: pin.0 already has it; keep one. Received: 'a'",
        ),
        (
            {"pin": [{"item": "a", "position": 1}, {"item": "b", "position": 1}]},
            "pin.1.position: pin.0 already has it; keep one. Received: 1",
        ),
        ({"block": [{"match": {"colour": "red"}}]}, "block.0.match: the catalogue has no column"),
        ({"block": [{"match": {}}]}, "block.0.match: "),
        ({"block": [{"match": {"category": 3}}]}, "match.category: .*takes texts; .*Received: 3"),
        ({"block": [{"match": {"price": "3"}}]}, "match.price: .*takes numbers. Received: '3'"),
        ({"block": [{"match": {"fresh": 1}}]}, "match.fresh: .*takes true or false. Received: 1"),
        ({"block": [{"match": {"category": {"min": 1}}}]}, "match.category: .*takes texts"),
        ({"block": [{"match": {"price": {"low": 1}}}]}, "price: a range is a mapping of min and"),
        ({"block": [{"match": {"price": []}}]}, "price: a list holds texts or numbers"),
        ({"block": [{"match": {"price": None}}]}, "price: must be a text, a number"),
        ({"cap": [{"by": "colour", "at_most": 1}]}, "cap.0.by: the catalogue has no column"),
        (
            {"cap": [{"by": "tags", "at_most": 1}]},
            "cap.0.by: must be a column with one value per item",
        ),
        ({"cap": [{"by": "category", "at_most": 0}]}, "cap.0.at_most: .*greater than 0"),
        (
            {
                "cap": [{"by": "category", "at_most": 1}],
                "pin": [{"item": "a", "position": 1}, {"item": "c", "position": 4}],
            },
            "cap.0.at_most: 2 pinned items share a value of 'category'; pin fewer",
        ),
    ],
)
def test_mistakes_are_named(rules, says):
    with pytest.raises(InputError, match=says) as caught:
        _compiled(**rules)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("rules: ")
