"""The rankers of benchmarks/ranking.py: rows, settings, training and scores."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from harness import ROOT
from rankings.data import TEXT, Rows, Task, tables, tested, training

from tfrec_fusion._compat import keras
from tfrec_fusion.data import Split
from tfrec_fusion.models import Ranker
from tfrec_fusion.optimizers import adam

_SCRIPT = ROOT / "benchmarks" / "peers" / "ranker_scores.py"
_SMOOTHING = 5.0  # events of the mean label, in that of a user or an item
_FOLDS = 5
_BLOCK = 1 << 15


@dataclass(frozen=True)
class Row:
    """One ranker.

    Attributes:
      small: settings on data with labels; retail has `large`. The first is that of `--quick`; the
        best on validation is tested.
      large: see `small`.
      peer: the model of the peers' script; None for ours.
      text: whether it reads the text.
    """

    small: tuple[dict, ...]
    large: tuple[dict, ...]
    peer: str | None = None
    text: bool = True

    def settings(self, task: Task) -> tuple[dict, ...]:
        return self.small if task.labelled else self.large


def _ours(backbone: str, text: bool = True) -> Row:
    def setting(epochs: int, dropout: float, **options) -> dict:
        model = {"backbone": backbone, "vectors": [TEXT] if text else [], **options}
        if dropout and backbone == "dcn_v2":
            model["dropout"] = dropout
        elif dropout:
            model["backbone_options"] = {"dropout": dropout}
        return {"epochs": epochs, "rate": 2e-3, "model": model}

    small = {"dim": 16, "id_dropout": 0.2, "id_l2": 1e-3, "label_rates": True}
    return Row(
        (
            setting(5, 0.3, **small),
            setting(8, 0.3, **small),
            setting(6, 0.3, **small, user="both"),
        ),
        (setting(2, 0.0), setting(2, 0.2)),
        text=text,
    )


def _torch(peer: str, **options) -> Row:
    def setting(epochs, l2, dim, dropout):
        names = {
            "fuxictr": {"l2": l2, "dim": dim},
            "deepctr": {"l2_reg_embedding": l2, "dim": dim, "dnn_dropout": dropout},
        }[peer]
        drops = [name for name in options if name.endswith("dropout")]
        return {"epochs": epochs, **options, **names, **dict.fromkeys(drops, dropout)}

    return Row(
        tuple(setting(e, l2, 16, d) for e, l2, d in ((4, 1e-5, 0.2), (8, 1e-4, 0.2), (2, 0, 0.0))),
        tuple(setting(2, l2, 32, d) for l2, d in ((1e-6, 0.0), (1e-5, 0.2))),
        peer,
    )


_TREES = tuple(
    {"rounds": rounds, "learning_rate": 0.05, "num_leaves": leaves}
    for rounds, leaves in ((300, 63), (600, 31), (200, 127))
)
_OBLIVIOUS = tuple(
    {"rounds": rounds, "learning_rate": 0.1, "depth": depth}
    for rounds, depth in ((500, 6), (300, 8))
)
_HIDDEN = [128, 64]
_CROSSES = {"num_cross_layers": 2, "parallel_dnn_hidden_units": _HIDDEN, "net_dropout": 0.0}
_MLPS = {f"mlp{at}_hidden_units": _HIDDEN for at in (1, 2)} | {"mlp1_dropout": 0.0}
_MLPS |= {
    "mlp2_dropout": 0.0,
    "num_heads": 4,
    "fs1_context": ["user_id"],
    "fs2_context": ["item_id"],
}
_DIN = {"history": True, "dnn_hidden_units": _HIDDEN, "din_target_field": ["item_id"]}
_DIN |= {"din_sequence_field": ["history"], "net_dropout": 0.0, "attention_hidden_units": [36]}
_DCN = {"kind": "DCN", "cross_parameterization": "matrix", "dnn_hidden_units": _HIDDEN}
ROWS: dict[str, Row] = {
    **{
        name: _ours(backbone)
        for name, backbone in {
            "DCN-v2": "dcn_v2",
            "FinalMLP": "final_mlp",
            "DIN": "din",
            "MMoE": "mmoe",
            "Wide & Deep": "wide_deep",
            "DeepFM": "deep_fm",
            "DLRM": "dlrm",
            "xDeepFM": "x_deep_fm",
            "AutoInt": "auto_int",
            "MaskNet": "mask_net",
            "FinalNet": "final_net",
            "GDCN": "gdcn",
            "BST": "bst",
        }.items()
    },
    "DCN-v2, without text": _ours("dcn_v2", text=False),
    "FinalMLP, without text": _ours("final_mlp", text=False),
    "DIN, without text": _ours("din", text=False),
    "DCN-v2 of FuxiCTR": _torch("fuxictr", zoo="DCNv2", **_CROSSES),
    "FinalMLP of FuxiCTR": _torch("fuxictr", zoo="FinalMLP", **_MLPS),
    "DIN of FuxiCTR": _torch("fuxictr", zoo="DIN", **_DIN),
    "DCN-v2 of DeepCTR-Torch": _torch("deepctr", **_DCN),
    "DeepFM of DeepCTR-Torch": _torch("deepctr", kind="DeepFM", dnn_hidden_units=_HIDDEN),
    "LightGBM": Row(_TREES, _TREES, "lightgbm"),
    "LightGBM, without text": Row(_TREES, _TREES, "lightgbm", text=False),
    "CatBoost": Row(_OBLIVIOUS, _OBLIVIOUS, "catboost"),
}


def fitted(task: Task, split: Split, setting: Mapping, seed: int) -> tuple[np.ndarray, float, int]:
    """Trains one of ours; returns the logits of the test rows, and seconds and rows of training."""
    keras.utils.set_random_seed(seed)
    model = Ranker(split.train, features=task.features, **setting["model"])
    batches = training(task, split)
    steps, epochs = len(batches), setting["epochs"]
    model.compile(adam(setting["rate"], steps=epochs * steps))
    started = time.perf_counter()
    model.fit(batches, epochs=epochs, verbose=0)
    seconds = time.perf_counter() - started
    width = 1 if task.labelled else batches.element_spec["item"].shape[1]
    logits = [model.predict_on_batch(batch).reshape(-1) for batch in tested(task, split)]
    return np.concatenate(logits), seconds, epochs * steps * task.batch_size * width


def peer_fitted(
    python: str, task: Task, row: Row, folder: Path, setting: Mapping, seed: int
) -> tuple[np.ndarray, float, int]:
    """As `fitted`, of a peer in its own environment, from the files of `write_rows`.

    Raises:
      RuntimeError: its process fails; the message is its last line.
    """
    options = {"model": row.peer, "seed": seed, "text": row.text, **setting}
    if row.peer in ("fuxictr", "deepctr"):
        options["batch_size"] = task.batch_size * (1 if task.labelled else 5)
    with tempfile.TemporaryDirectory() as scratch:
        given, out = Path(scratch) / "options.json", Path(scratch) / "scores.npz"
        given.write_text(json.dumps(options))
        command = [python, str(_SCRIPT), str(folder), str(given), str(out)]
        done = subprocess.run(command, text=True, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
        if done.returncode:
            raise RuntimeError((done.stderr.strip().splitlines() or ["no message"])[-1])
        with np.load(out) as found:
            return found["scores"], float(found["seconds"]), int(found["rows"])


def write_rows(task: Task, split: Split, folder: Path) -> None:
    """Writes the rows of training and test for the peers, those of the test last."""
    folder.mkdir(parents=True, exist_ok=True)
    found = tables(task, split)
    _save(folder / "tables.npz", found)
    # Rows of events with labels are the same in each epoch.
    epochs = [_first_epoch(task, split, epoch) for epoch in range(1 if task.labelled else 2)]
    parts = {f"train_{at}": rows for at, rows in enumerate(epochs)}
    parts["test"] = Rows(tested(task, split))
    means = _Means(epochs[0], found) if task.labelled else None
    dense = {name: _dense(rows, found, means, name != "test") for name, rows in parts.items()}
    first = dense["train_0"]
    mean, deviation = first.mean(0), first.std(0) + 1e-6
    for name, rows in parts.items():
        path = folder / f"{name}.npz"
        columns = {key: rows.columns[key] for key in ("user", "item", "label", "row")}
        # Ids from 1, the padding at the end.
        order = np.argsort(rows.history < 0, 1, kind="stable")
        history = np.take_along_axis(rows.history + 1, order, 1)
        scaled = ((dense[name] - mean) / deviation).astype(np.float32)
        _save(path, columns | {"history": history, "dense": scaled, "text_columns": np.array(2)})


def _save(path: Path, arrays: dict) -> None:
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        np.savez(file, **arrays)
    os.replace(file.name, path)


def _first_epoch(task: Task, split: Split, epoch: int) -> Rows:
    return Rows(training(task, split, epoch))


class _Means:
    """Mean labels of users and items in training, smoothed, and their numbers of rows.

    Those of a training row are of the other `_FOLDS - 1` folds: without the row alone, its own
    label could be read from them.
    """

    def __init__(self, rows: Rows, found: Mapping[str, np.ndarray]):
        self._sizes = {"user": len(found["user_codes"]), "item": len(found["item_codes"])}
        self._rows = rows
        self._fold = np.random.default_rng(0).integers(0, _FOLDS, len(rows.label))

    def __call__(self, rows: Rows, own: bool) -> np.ndarray:
        if not own:
            return self._of(rows, np.ones(len(self._fold), bool), slice(None))
        found = np.zeros((len(rows.label), 2 * len(self._sizes)))
        for fold in range(_FOLDS):
            part = self._fold == fold
            found[part] = self._of(rows, ~part, part)
        return found

    def _of(self, rows: Rows, known: np.ndarray, part) -> np.ndarray:
        label = self._rows.label[known]
        columns = []
        for name, size in self._sizes.items():
            count = np.bincount(self._rows.columns[name][known], minlength=size)
            total = np.bincount(self._rows.columns[name][known], label, minlength=size)
            mean = (total + _SMOOTHING * label.mean()) / (count + _SMOOTHING)
            ids = rows.columns[name][part]
            columns += [mean[ids], np.log1p(count)[ids]]
        return np.column_stack(columns)


def _dense(rows: Rows, found: Mapping, means: _Means | None, own: bool) -> np.ndarray:
    """Numbers of a pair: those of the item, means, the history, and the match of the text."""
    numbers = np.nan_to_num(rows.numbers, nan=0.0)
    past = rows.history
    length = (past >= 0).sum(1)
    latest = rows.history_age[:, -1]
    users = [np.log1p(length)[rows.row], np.log1p(latest)[rows.row]]
    columns = [*numbers.T, *users, *(means(rows, own).T if means else [])]
    return np.column_stack([*columns, *_matches(rows, found["item_text"])])


def _matches(rows: Rows, text: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and largest product of the item's text with the history's; 0 without history."""
    padded = np.vstack([text, np.zeros_like(text[:1])])
    mean, most = np.zeros(len(rows.item)), np.zeros(len(rows.item))
    for at in range(0, len(mean), _BLOCK):
        part = slice(at, at + _BLOCK)
        past = rows.history[rows.row[part]]
        found = np.einsum("nld,nd->nl", padded[past], text[rows.item[part]])
        there = past >= 0
        mean[part] = (found * there).sum(1) / np.maximum(there.sum(1), 1)
        most[part] = np.where(there.any(1), np.where(there, found, -1.0).max(1), 0.0)
    return mean, most
