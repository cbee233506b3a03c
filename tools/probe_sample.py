"""Untrained probes that say which planted structure of the sample can be found, and by what.

    python tools/probe_sample.py

Protocol: first event of each pair; training before the 90th percentile of event time; evaluated
users have a training event and a new item in the test; the whole catalogue less the user's training
items is ranked (R@20, N@10); "cold" ranks the items without a training event among themselves.
"""

from pathlib import Path

import numpy as np
import pandas as pd

SAMPLE = Path(__file__).parents[1] / "tfrec_fusion" / "data" / "sample"
DAY = 86_400


def _metrics(scores, relevant, allowed):
    """Recall@20 and NDCG@10 [users] of dense scores over the `allowed` items."""
    order = np.argsort(np.where(allowed, -scores, np.inf), axis=1, kind="stable")[:, :20]
    hits = np.take_along_axis(relevant & allowed, order, 1)
    total = (relevant & allowed).sum(1)
    gain = 1 / np.log2(np.arange(2, 12))
    best = np.cumsum(gain)[np.minimum(total, 10) - 1]
    return hits.sum(1) / total, (hits[:, :10] * gain).sum(1) / best


def _ease(gram, ridge):
    inverse = np.linalg.inv(gram + ridge * np.eye(len(gram)))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return weights


def _scaled(scores):
    return scores / scores.std(1, keepdims=True)


def _whiten(vectors, fit, dims=128):
    mean = vectors[fit].mean(0)
    values, basis = np.linalg.eigh(np.cov((vectors[fit] - mean).T))
    white = (vectors - mean) @ basis[:, -dims:] / np.sqrt(values[-dims:])
    return white / np.linalg.norm(white, axis=1, keepdims=True)


def probe(items, interactions, vectors):
    """Ranks with simple models; returns a frame: model -> R@20 and N@10 in total, warm and cold.

    `attrs` of the frame holds the sizes of the test.
    """
    item = pd.Index(items["item_id"]).get_indexer(interactions["item_id"])
    user = pd.factorize(interactions["user_id"])[0]
    time = interactions["timestamp"].to_numpy()
    first = ~pd.DataFrame({"u": user, "i": item}).duplicated().to_numpy()
    user, item, time = user[first], item[first], time[first]
    cut = np.quantile(time, 0.9)
    old = time < cut
    shape = (user.max() + 1, len(items))
    train, test = np.zeros(shape, bool), np.zeros(shape, bool)
    train[user[old], item[old]] = True
    test[user[~old], item[~old]] = True
    keep = train.any(1) & test.any(1)
    x, x_eval, truth = train.astype(np.float32), train[keep].astype(np.float32), test[keep]
    warm = train.any(0)
    z = _whiten(vectors.astype(np.float32), warm)

    popular = x.sum(0)
    recent = np.bincount(item[old & (time >= np.quantile(time[old], 0.9))], minlength=len(items))
    latest = np.bincount(item[old & (time >= cut - 45 * DAY)], minlength=len(items))
    rising = ((latest + 0.2) / (popular + 2)) ** 0.8
    norm = np.sqrt(np.maximum(popular, 1))
    cosine = (x.T @ x) / np.outer(norm, norm)
    np.fill_diagonal(cosine, 0)
    gram = x.T @ x
    ease = x_eval @ _ease(gram, 200)
    # New items have no trend of their own: they get what earlier launches had.
    rising_or_new = np.where(warm, rising, np.quantile(rising[warm], 0.95))
    text = (x_eval @ z) @ z.T
    ease_trend, text_trend = np.maximum(ease, 0) * rising, np.maximum(text, 0) * rising_or_new
    rng = np.random.RandomState(0)
    models = {
        "random": rng.random_sample(truth.shape),
        "popularity": np.tile(popular, (keep.sum(), 1)),
        "recent popularity": np.tile(recent, (keep.sum(), 1)),
        "text mean": text,
        "text mean x trend": text_trend,
        "item-kNN": x_eval @ cosine,
        "EASE": ease,
        "EASE x trend": ease_trend,
        "EASE with text": x_eval @ _ease(gram + 20 * z @ z.T, 200),
        "EASE x trend + text x trend": _scaled(ease_trend) + 0.4 * _scaled(text_trend),
    }
    free = ~train[keep]
    slices = {"": free, "warm ": free & warm, "cold ": free & ~warm}
    rows = {}
    for name, scores in models.items():
        row = {}
        for label, allowed in slices.items():
            has = (truth & allowed).any(1)
            recall, ndcg = _metrics(scores[has], truth[has], allowed[has])
            row |= {f"{label}R@20": recall.mean(), f"{label}N@10": ndcg.mean()}
        rows[name] = row
    table = pd.DataFrame(rows).T
    table.attrs = {
        "users": int(keep.sum()),
        "cold items": int((~warm).sum()),
        "cold share": float((truth & ~warm).sum() / truth.sum()),
        "targets": int(truth.sum()),
        "test days": float((time.max() - cut) / DAY),
    }
    return table


if __name__ == "__main__":
    found = probe(
        pd.read_parquet(SAMPLE / "items.parquet"),
        pd.read_parquet(SAMPLE / "interactions.parquet"),
        np.load(SAMPLE / "minilm_384.npy"),
    )
    print(found.round(3).to_string())
    print(found.attrs)
