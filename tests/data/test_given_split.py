"""Splits by a column of the events, as those of published tables."""

import numpy as np
import pandas as pd
import pytest

from tfrec_fusion.cli import main
from tfrec_fusion.data import Catalogue, Interactions
from tfrec_fusion.errors import InputError

# v has no row of train, w none but of test; (u, a) occurs in train first.
ROWS = [
    ("u", "a", "train"), ("u", "b", "train"), ("v", "a", "valid"), ("u", "c", "valid"),
    ("u", "d", "test"), ("w", "a", "test"), ("v", "b", "test"), ("x", "a", "train"),
]  # fmt: skip


def _events(rows=ROWS, order=True, **options):
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "split"])
    if order:
        frame["timestamp"] = 1.6e9 + np.arange(len(rows))
    return Interactions.from_frame(
        frame, Catalogue(pd.DataFrame({"item_id": [*"abcd"]})), **options
    )


def _pairs(events):
    users = [events.users.ids[u] if u >= 0 else None for u in events.user]
    return list(zip(users, events.catalogue.vocabulary.ids[events.item], strict=True))


@pytest.mark.parametrize("order", [True, False])
def test_the_column_decides(order):
    split = _events(order=order).split("given")
    assert split.kind == "given"
    assert _pairs(split.train) == [("u", "a"), ("u", "b"), ("v", "a"), ("u", "c"), ("x", "a")]
    assert _pairs(split.test) == [("u", "d"), (None, "a"), ("v", "b")]
    users, targets = split.targets()
    assert split.train.users.ids[users].tolist() == ["u", "v"]
    assert targets.items.tolist() == [3, 1]


def test_valid_is_tested_with_train_alone():
    for keep_valid in (True, False):
        split = _events().split("given", keep_valid=keep_valid)
        part = split.validation()
        assert _pairs(part.train) == [("u", "a"), ("u", "b"), ("x", "a")]
        assert part.train.users.ids.tolist() == ["u", "x"]
        assert _pairs(part.test) == [(None, "a"), ("u", "c")]
        with pytest.raises(InputError, match="no rows of 'valid'"):
            part.validation()
    assert _pairs(split.train) == _pairs(part.train)
    # v is known by a row of valid alone.
    assert _pairs(split.test) == [("u", "d"), (None, "a"), (None, "b")]


def test_of_a_pair_in_two_parts_the_first_counts():
    split = _events([*ROWS, ("u", "a", "test")]).split("given")
    assert _pairs(split.test) == _pairs(_events().split("given").test)


@pytest.mark.parametrize(
    ("rows", "options", "says"),
    [
        (ROWS, {"test": 0.1}, "test is a share that kind 'given' does not take.*Received: 0.1"),
        ([("u", "a", "train"), ("u", "b", "dev")], {}, "1 other or missing values, first 'dev'"),
        ([("u", "a", "train"), ("u", "b", None)], {}, "first (None|nan) at row 1; rename"),
        (ROWS[:4], {}, "leaves no test events that can be a target. Received: .'train': 2"),
        (ROWS[4:7], {}, "leaves no training events"),
        (ROWS[2:7], {"keep_valid": False}, "leaves no training events"),
    ],
)
def test_a_mistake_is_named(rows, options, says):
    with pytest.raises(InputError, match=says):
        _events(rows).split("given", **options)


def test_events_without_the_column():
    frame = pd.DataFrame({"user_id": ["u", "v"], "item_id": ["a", "b"], "place": ["x", "y"]})
    events = Interactions.from_frame(frame, Catalogue(pd.DataFrame({"item_id": ["a", "b"]})))
    with pytest.raises(InputError, match=r"needs a column 'split' .*Received: \['place'\]"):
        events.split("given")
    with pytest.raises(InputError, match="keep_valid=False is for kind 'given' alone"):
        events.split("random", keep_valid=False)


def test_a_run_by_the_column(tmp_path, capsys):
    rng = np.random.default_rng(0)
    pairs = np.stack(np.divmod(rng.choice(20 * 10, 120, replace=False), 10), 1)
    rows = pd.DataFrame(pairs, columns=["user_id", "item_id"]).astype(str)
    rows["split"] = np.resize(["train", "train", "train", "valid", "test"], len(rows))
    rows.to_parquet(tmp_path / "events.parquet")
    pd.DataFrame({"item_id": [str(i) for i in range(10)]}).to_parquet(tmp_path / "items.parquet")
    tables = [f"--{name}={tmp_path / file}" for name, file in
              (("interactions", "events.parquet"), ("items", "items.parquet"))]  # fmt: skip
    train = ["train", *tables, "--model", "ease", "--split", "given"]
    assert main([*train, "--out", str(tmp_path / "run")]) == 0
    assert main(["evaluate", str(tmp_path / "run")]) == 0
    assert "given split" in capsys.readouterr().out
    rows["split"] = "train"
    rows.to_parquet(tmp_path / "events.parquet")
    assert main([*train, "--out", str(tmp_path / "other")]) == 2
    assert "leaves no test events" in capsys.readouterr().err
