"""Rankers of FuxiCTR, DeepCTR-Torch, LightGBM and CatBoost, for benchmarks/ranking.py.

    python benchmarks/peers/ranker_scores.py FOLDER OPTIONS.json OUT.npz

FOLDER has train_0.npz, train_1.npz, ..., the rows of one epoch each, test.npz and tables.npz, as
`rankings.models.write_rows` writes them. OPTIONS has the `model`, one of `MODELS`, the `seed`,
whether to read the `text`, and the arguments of the model. OUT gets the probabilities `scores`
[test rows], and the `seconds` and `rows` of the training. It runs in an environment of the
peers alone, of the packages in requirements-peers-ranker.txt; FuxiCTR's models are those of its
repository's folder model_zoo, in the environment variable FUXICTR.
"""

import importlib.util
import json
import os
import sys
import tempfile
import time
from collections import OrderedDict
from pathlib import Path

import numpy as np


class Rows:
    """The columns of one file of rows, joined with the tables.

    Attributes:
      user, item: `[n]` ids from 0.
      codes: `[n, columns]` categories of the user and the item.
      dense: `[n, columns]` numbers, standardised.
      text: `[n, 64]` of the item; of 0 columns without text.
      history: `[n, length]` ids of items, from 1; 0 pads the end.
      label: `[n]`.
    """

    def __init__(self, path: Path, tables: dict, text: bool):
        with np.load(path) as found:
            self.user, self.item, self.label = (found[name] for name in ("user", "item", "label"))
            row, dense = found["row"], found["dense"]
            # Those of the text are the last columns.
            self.dense = dense if text else dense[:, : -int(found["text_columns"])]
            self.history = found["history"][row]
        self.codes = np.concatenate(
            [tables["user_codes"][self.user, 1:], tables["item_codes"][self.item, 1:]], 1
        )
        vectors = tables["item_text"]
        self.text = vectors[self.item] if text else np.zeros((len(self.item), 0), np.float32)


class Data:
    """All rows, and the sizes of the categories."""

    def __init__(self, folder: Path, text: bool):
        with np.load(folder / "tables.npz") as found:
            tables = {name: found[name] for name in found.files}
        count = len(list(folder.glob("train_*.npz")))
        self.epochs = [Rows(folder / f"train_{at}.npz", tables, text) for at in range(count)]
        self.test = Rows(folder / "test.npz", tables, text)
        columns = [tables[name][:, 1:] for name in ("user_codes", "item_codes")]
        self.sizes = [int(column.max()) + 1 for table in columns for column in table.T]
        self.users, self.items = len(tables["user_codes"]), len(tables["item_codes"])

    def epoch(self, at: int) -> Rows:
        return self.epochs[at % len(self.epochs)]

    def categories(self) -> dict[str, int]:
        """Name -> number of ids of each category."""
        codes = {f"code_{at}": size for at, size in enumerate(self.sizes)}
        return {"user_id": self.users, "item_id": self.items, **codes}

    def widths(self) -> dict[str, int]:
        """Name -> width of the vectors."""
        found = {name: getattr(self.test, name).shape[1] for name in ("dense", "text")}
        return {name: width for name, width in found.items() if width}


def torch_scores(data, model, inputs, step, predict, epochs, batch_size):
    """Trains by `step(batch)` for all epochs; returns the scores, seconds and rows."""
    import torch

    seconds, rows = 0.0, 0
    for epoch in range(epochs):
        columns = inputs(data.epoch(epoch))
        label = torch.from_numpy(data.epoch(epoch).label)
        started = time.perf_counter()
        model.train()
        for at in torch.randperm(len(label)).split(batch_size):
            step({name: column[at] for name, column in columns.items()}, label[at])
        seconds += time.perf_counter() - started
        rows += len(label)
    model.eval()
    columns = inputs(data.test)
    with torch.no_grad():
        found = [
            predict({name: column[at] for name, column in columns.items()}).reshape(-1)
            for at in torch.arange(len(data.test.label)).split(8192)
        ]
    return torch.cat(found).numpy(), seconds, rows


def fuxictr_model(zoo, sizes, widths, dim, seed, l2=0.0, sequence=None, **options):
    """A model of FuxiCTR's model_zoo.

    Args:
      zoo: its name.
      sizes: name -> number of ids of a category, which start at 1: 0 is the padding of a history.
      widths: name -> width of vectors.
      dim: of the embeddings.
      seed, l2: of all weights, and of the embeddings.
      sequence: name, the category whose table it shares, and length of a history; or None.
    """
    import torch
    from fuxictr.features import FeatureMap

    torch.manual_seed(seed)
    features = {
        name: {"type": "categorical", "vocab_size": size + 1, "padding_idx": 0}
        for name, size in sizes.items()
    }
    if sequence:
        name, shared, length = sequence
        features[name] = {"type": "sequence", "share_embedding": shared, "padding_idx": 0}
        features[name] |= {"vocab_size": sizes[shared] + 1, "max_len": length}
    features |= {
        name: {"type": "embedding", "pretrain_dim": width} for name, width in widths.items()
    }
    with tempfile.TemporaryDirectory() as folder:
        feature_map = FeatureMap("rows", folder)
        feature_map.features = OrderedDict((k, v | {"source": ""}) for k, v in features.items())
        feature_map.labels, feature_map.default_emb_dim = ["label"], dim
        feature_map.num_fields = feature_map.get_num_fields()
        path = Path(os.environ["FUXICTR"]) / "model_zoo" / zoo / "src" / f"{zoo}.py"
        found = importlib.util.spec_from_file_location(zoo, path)
        module = importlib.util.module_from_spec(found)
        found.loader.exec_module(module)
        model = getattr(module, zoo)(
            feature_map,
            embedding_dim=dim,
            embedding_regularizer=l2,
            optimizer="adam",
            loss="binary_crossentropy",
            metrics=["AUC"],
            verbose=0,
            model_root=folder,
            **options,
        )
    model._max_gradient_norm = 10.0
    return model


def fuxictr(data, seed, epochs, batch_size, history=False, **options):
    """A model of FuxiCTR, by its own `train_step`."""
    import torch

    sizes, widths = data.categories(), data.widths()
    sequence = ("history", "item_id", data.test.history.shape[1]) if history else None
    model = fuxictr_model(sizes=sizes, widths=widths, seed=seed, sequence=sequence, **options)

    def inputs(rows):
        columns = [rows.user + 1, rows.item + 1, *(rows.codes.T + 1)]
        found = dict(zip(sizes, columns, strict=True))
        names = [*widths, *(["history"] if history else [])]
        found |= {name: getattr(rows, name) for name in names}
        return {k: torch.from_numpy(np.ascontiguousarray(v)) for k, v in found.items()}

    return torch_scores(
        data,
        model,
        inputs,
        lambda batch, label: model.train_step(batch | {"label": label}),
        lambda batch: model(batch)["y_pred"],
        epochs,
        batch_size,
    )


def deepctr_model(kind, sizes, widths, dim, seed, rate=1e-3, **options):
    """A model of DeepCTR-Torch, and a function that does a step of its own `fit`.

    Args:
      kind: its name.
      sizes, widths: name -> number of ids of a category, and width of vectors.
      dim: of the embeddings.
      seed, rate: of the weights, and of Adam.
    """
    import torch
    from deepctr_torch import models
    from deepctr_torch.inputs import DenseFeat, SparseFeat

    columns = [SparseFeat(name, size, dim) for name, size in sizes.items()]
    columns += [DenseFeat(name, width) for name, width in widths.items()]
    model = getattr(models, kind)(columns, columns, seed=seed, **options)
    model.compile(torch.optim.Adam(model.parameters(), rate), "binary_crossentropy")

    def step(batch, label):
        model.optim.zero_grad()
        loss = model.loss_func(model(batch["x"]).squeeze(-1), label, reduction="sum")
        (loss + model.get_regularization_loss() + model.aux_loss).backward()
        model.optim.step()

    return model, step


def deepctr(data, seed, epochs, batch_size, **options):
    """A model of DeepCTR-Torch."""
    import torch

    sizes, widths = data.categories(), data.widths()
    model, step = deepctr_model(sizes=sizes, widths=widths, seed=seed, **options)

    def inputs(rows):
        found = dict(zip(sizes, (rows.user, rows.item, *rows.codes.T), strict=True))
        found |= {name: getattr(rows, name) for name in widths}
        found = [v[:, None] if v.ndim == 1 else v for v in (found[k] for k in model.feature_index)]
        return {"x": torch.from_numpy(np.concatenate(found, 1).astype(np.float32))}

    return torch_scores(
        data, model, inputs, step, lambda batch: model(batch["x"]), epochs, batch_size
    )


def _table(rows):
    return np.concatenate([rows.dense, rows.text, rows.codes], 1, dtype=np.float32)


def lightgbm(data, seed, rounds, learning_rate, num_leaves):
    """LightGBM on numbers, text and categories; ids stand in the numbers as their means."""
    from lightgbm import LGBMClassifier

    model = LGBMClassifier(
        n_estimators=rounds,
        learning_rate=learning_rate,
        num_leaves=num_leaves,
        subsample=0.8,
        subsample_freq=1,
        colsample_bytree=0.8,
        random_state=seed,
        verbose=-1,
    )
    return _boosted(data, model, categorical_feature=_categories(data))


def catboost(data, seed, rounds, learning_rate, depth):
    """CatBoost on the same table, with the ids as further categories."""
    from catboost import CatBoostClassifier

    def table(rows):
        import pandas as pd

        frame = pd.DataFrame(_table(rows))
        codes = np.column_stack([rows.user, rows.item, rows.codes]).astype(np.int64)
        frame = frame.iloc[:, : frame.shape[1] - rows.codes.shape[1]]
        return pd.concat([frame, pd.DataFrame(codes).add_prefix("c")], axis=1)

    model = CatBoostClassifier(
        iterations=rounds,
        learning_rate=learning_rate,
        depth=depth,
        random_seed=seed,
        verbose=0,
        allow_writing_files=False,
    )
    names = [f"c{at}" for at in range(2 + len(data.sizes))]
    return _boosted(data, model, table, cat_features=names)


def _categories(data):
    width = data.test.dense.shape[1] + data.test.text.shape[1]
    return list(range(width, width + len(data.sizes)))


def _boosted(data, model, table=_table, **options):
    # Trees have no epochs: they get the rows of the first.
    rows = data.epoch(0)
    found = table(rows)
    started = time.perf_counter()
    model.fit(found, rows.label, **options)
    seconds = time.perf_counter() - started
    return model.predict_proba(table(data.test))[:, 1], seconds, len(rows.label)


MODELS = {"fuxictr": fuxictr, "deepctr": deepctr, "lightgbm": lightgbm, "catboost": catboost}


def main():
    folder, options, out = (Path(name) for name in sys.argv[1:])
    options = json.loads(options.read_text())
    model, text = MODELS[options.pop("model")], options.pop("text")
    scores, seconds, rows = model(Data(folder, text), **options)
    with out.open("wb") as file:
        np.savez(file, scores=scores.astype(np.float64), seconds=seconds, rows=rows)


if __name__ == "__main__":
    main()
