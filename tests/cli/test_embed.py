import json

import pandas as pd
import pytest

from tfrec_fusion.cli import main
from tfrec_fusion.embeddings import VectorStore


def test_embed_writes_a_store_and_then_only_what_is_new(tmp_path, capsys):
    pytest.importorskip("wordllama", reason="the extra `static` is not installed")
    items, out = tmp_path / "items.csv", tmp_path / "store"
    frame = pd.DataFrame({"item_id": ["1", "2"], "title": ["red mug", "lamp"], "price": [2.5, 9]})
    frame.to_csv(items, index=False)
    command = ["embed", "--items", str(items), "--encoder", "wordllama", "--out", str(out)]
    assert main([*command, "--template", "{title} ({price})", "--json", "-"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {key: told[key] for key in ("encoder", "rows", "dims", "encoded", "reused")} == {
        "encoder": "wordllama",
        "rows": 2,
        "dims": 256,
        "encoded": 2,
        "reused": 0,
    }
    store = VectorStore.open(out)
    assert store.ids.tolist() == ["1", "2"]
    assert store.manifest.template == "{title} ({price})"
    frame["price"] = [2.5, 8]
    frame.to_csv(items, index=False)
    assert main([*command, "--template", "{title} ({price})"]) == 0
    assert "1 texts encoded" in capsys.readouterr().out


def test_mistakes_are_told_in_one_line(tmp_path, capsys):
    pytest.importorskip("wordllama", reason="the extra `static` is not installed")
    items = tmp_path / "items.csv"
    pd.DataFrame({"item_id": ["1"], "colour": ["red"]}).to_csv(items, index=False)
    command = [
        "embed",
        "--items",
        str(items),
        "--encoder",
        "wordllama",
        "--out",
        str(tmp_path / "s"),
    ]
    for options, message in (
        ([], "template: the items have neither a text nor a title"),
        (["--template", "{title}"], "template: the items have no column 'title'"),
        (["--template", "{colour}", "--pooling", "cls"], "pooling: the encoder 'wordllama'"),
    ):
        assert main([*command, *options]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert len(error.splitlines()) == 1
