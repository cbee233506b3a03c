"""The rows of benchmarks/retrieval.py that other packages fit, in an environment of their own."""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from harness import ROOT

_HERE = ROOT / "benchmarks" / "peers"
CLASSIC, SEQUENCE = _HERE / "classic_scores.py", _HERE / "sequence_scores.py"


@dataclass(frozen=True)
class Peer:
    """A model of another package.

    Attributes:
      settings: each `{"peer": model of the script and its arguments}`.
      script: in benchmarks/peers, that fits it.
      seed: name of the argument that takes the seed; None for none.
      slow: whether it is left out of large data sets.
    """

    settings: tuple[dict, ...]
    script: Path = CLASSIC
    seed: str | None = None
    slow: bool = False


def _settings(model: str, *options: dict, **common) -> tuple[dict, ...]:
    return tuple({"peer": {"model": model, **common, **one}} for one in options)


# implicit counts an item among its own K neighbours, so its K is one more.
_KNN = (
    {"kind": "CosineRecommender", "K": 101},
    {"kind": "TFIDFRecommender", "K": 101},
    {"kind": "BM25Recommender", "K": 101},
    {"kind": "CosineRecommender", "K": 401},
    {"kind": "TFIDFRecommender", "K": 401},
    {"kind": "CosineRecommender", "K": 31},
)
_ALS = (
    {"factors": 64, "alpha": 11.0, "regularization": 55.0},
    {"factors": 64, "alpha": 5.0, "regularization": 10.0},
    {"factors": 128, "alpha": 11.0, "regularization": 55.0},
    {"factors": 128, "alpha": 5.0, "regularization": 10.0},
    {"factors": 64, "alpha": 40.0, "regularization": 100.0},
    {"factors": 64, "alpha": 1.0, "regularization": 0.01},
)
_GCN = {"embedding_size": 64, "train_batch_size": 4096, "require_pow": True, "epochs": 50}
# Those of ours; of the paper's for eSASRec, with a smaller dim.
_SEQUENCE = {"n_factors": 128, "n_heads": 1, "session_max_len": 50, "batch_size": 128, "lr": 1e-3}
_SEQUENCE |= {"dropout_rate": 0.2, "loss": "sampled_softmax", "n_negatives": 256, "epochs": 20}
PEERS: dict[str, Peer] = {
    "item-kNN of implicit": Peer(_settings("implicit_item_knn", *_KNN, of="history")),
    "iALS of implicit": Peer(_settings("implicit_als", *_ALS, iterations=15), seed="random_state"),
    "item-kNN of LensKit": Peer(
        _settings("lenskit_item_knn", *({"max_nbrs": k, "save_nbrs": k} for k in (100, 20, 400)))
    ),
    "EASE of RecTools": Peer(
        _settings(
            "rectools_ease",
            *({"regularization": float(x)} for x in (500, 200, 1000, 100, 2000, 50)),
        )
    ),
    "LightGCN of RecBole": Peer(
        _settings(
            "recbole_light_gcn",
            {"n_layers": 2, "learning_rate": 0.01, "reg_weight": 1e-3},
            {"n_layers": 3, "learning_rate": 0.01, "reg_weight": 1e-3},
            {"n_layers": 2, "learning_rate": 0.003, "reg_weight": 1e-4},
            **_GCN,
        ),
        seed="seed",
        slow=True,
    ),
    **{
        f"{name} of RecTools": Peer(
            _settings(name.lower(), {"n_blocks": blocks}, **_SEQUENCE), SEQUENCE, seed="seed"
        )
        for name, blocks in (("SASRec", 2), ("eSASRec", 1), ("HSTU", 2))
    },
}
_OF = {one.settings[0]["peer"]["model"]: one for one in PEERS.values()}


class Given:
    """A peer's scores as a model."""

    ranks_catalogue = True

    def __init__(self, name: str, scores: np.ndarray):
        self.name, self.scores = name, scores

    def check(self, events) -> None:
        """Accepts the events."""

    def scorer(self, state):
        return lambda users: self.scores[users]


def write_pairs(events, path: Path, past=None) -> None:
    """Writes the user and item rows of events for a peer, each user's in order.

    Args:
      past: the events of the histories that are scored; by default `events`.
    """
    user, item = _in_order(events)
    past_user, past_item = (user, item) if past is None else _in_order(past)
    shape = np.array([len(events.users), len(events.catalogue)])
    np.savez(path, user=user, item=item, shape=shape, past_user=past_user, past_item=past_item)


def _in_order(events) -> tuple[np.ndarray, np.ndarray]:
    histories = events.histories()
    return np.repeat(np.arange(len(histories.lengths)), histories.lengths), histories.items


def peer_scores(
    python: str, pairs: Path, options: dict, folder: Path, script: Path = CLASSIC
) -> dict[str, np.ndarray]:
    """Scores of a peer's model, with its seconds and peak memory.

    Raises:
      RuntimeError: its process failed.
    """
    given, out = folder / "options.json", folder / "scores.npz"
    given.write_text(json.dumps(options), encoding="utf-8")
    command = [python, str(script), str(pairs), str(given), str(out)]
    # RecBole writes its logs into the working directory.
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    if done.returncode:
        raise RuntimeError(f"the peer failed: {done.stderr[-2000:].strip()}")
    with np.load(out) as found:
        return dict(found)


def fitted_peer(
    setting: dict, train, seed: int, python: str, past=None
) -> tuple[Given, float, float]:
    """The scores of a setting as a model, and the seconds and the peak memory of its process.

    Args:
      past: the events of the histories that are scored, of a peer in `SEQUENCE`.
    """
    options = dict(setting["peer"])
    peer = _OF[options["model"]]
    if peer.seed is not None:
        options[peer.seed] = seed
    with tempfile.TemporaryDirectory() as folder:
        pairs = Path(folder) / "pairs.npz"
        write_pairs(train, pairs, past)
        found = peer_scores(python, pairs, options, Path(folder), peer.script)
    model = Given(options["model"], found["scores"])
    return model, float(found["seconds"]), float(found["peak_mb"])
