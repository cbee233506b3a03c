"""Known-item search on retail, with and without the user, and its latency on 1M items.

    python benchmarks/search.py [--quick] [--only quality|latency] [--json F] [--page]

A query is cut from the description of an item that a customer buys for the first time in the test
period; the item is the only right answer. Items of test queries have no training query, and those
of the queries that choose weights have neither. Each query is of one stratum: three words in their
order ("words"), those with a wrong letter ("typo"), half of all words ("dropped"), three words of
which one is a synonym ("synonym") or has another ending ("form"). Training queries are made alike.
The model is trained before a validation period, on whose queries fusion and weights are chosen, for
each ranking with and without the user; all rankings are those of exports as of the test period.
Intervals are 95 % bootstraps over queries. `--page` writes the tables into docs/search.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from markers import write_between

from tfrec_fusion._compat import keras, tf
from tfrec_fusion.data import Catalogue, Interactions, SearchEvents
from tfrec_fusion.embeddings import NGramEncoder
from tfrec_fusion.evaluation import paired_bootstrap
from tfrec_fusion.evaluation.bootstrap import interval, resampled_means
from tfrec_fusion.examples import search_examples
from tfrec_fusion.export import SearchConfig, choose_search_weights, export
from tfrec_fusion.models import SearchModel, TwoTower
from tfrec_fusion.optimizers import adam

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("TFREC_FUSION_DATA") or ROOT.parent / "shared" / "data")
STRATA = ("words", "typo", "dropped", "synonym", "form")
SYNONYMS = {
    **{"mug": "cup", "bag": "tote", "lamp": "light", "christmas": "xmas", "sign": "plaque"},
    **{"cushion": "pillow", "basket": "hamper", "vintage": "retro", "small": "mini"},
    **{"large": "big", "pack": "set", "holder": "stand", "bowl": "dish", "umbrella": "parasol"},
    **{"bunting": "banner", "garland": "wreath", "tin": "can", "notebook": "notepad"},
    **{"jewellery": "jewelry", "photo": "picture", "frame": "surround", "box": "case"},
    **{"kitchen": "cooking", "pink": "rose", "cake": "bakery", "girl": "lady", "clock": "timer"},
}
K = 10
# Name -> options of its search, by the folder of the encoder.
RANKINGS = {
    "BM25": lambda folder: {"vector_weight": 0},
    "text vectors": lambda folder: {"vectors": "spelling", "encoder": folder, "lexical_weight": 0},
    "query tower": lambda folder: {"encoder": folder, "lexical_weight": 0},
    "BM25 + text vectors": lambda folder: {"vectors": "spelling", "encoder": folder},
    "BM25 + query tower": lambda folder: {"encoder": folder},
}


def query_of(title: str, stratum: str, rng: np.random.Generator) -> str | None:
    """A query for a title; None if the stratum has none for it."""
    words = title.lower().replace(",", " ").split()
    if len(words) < 2:
        return None
    if stratum == "dropped":
        kept = np.sort(rng.choice(len(words), max(1, len(words) // 2), replace=False))
        return " ".join(words[place] for place in kept)
    start = rng.integers(0, max(1, len(words) - 2))
    cut = words[start : start + 3]
    if stratum == "words":
        return " ".join(cut)
    if stratum == "synonym":
        places = [place for place, word in enumerate(cut) if word in SYNONYMS]
    else:
        places = [place for place, word in enumerate(cut) if word.isalpha() and len(word) > 3]
    if not places:
        return None
    place = int(rng.choice(places))
    cut[place] = _changed(cut[place], stratum, rng)
    return " ".join(cut)


def _changed(word: str, stratum: str, rng: np.random.Generator) -> str:
    if stratum == "synonym":
        return SYNONYMS[word]
    if stratum == "form":
        return word[:-1] if word.endswith("s") else f"{word}s"
    at = int(rng.integers(1, len(word) - 1))
    kind = rng.integers(3)
    if kind == 0:
        return word[:at] + word[at + 1 :]
    if kind == 1:
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return word[:at] + chr(ord("a") + int(rng.integers(26))) + word[at + 1 :]


def queries_of(events: Interactions, items: np.ndarray, most: int, seed: int) -> pd.DataFrame:
    """At most `most` queries for the items of events, each with its stratum."""
    rng = np.random.default_rng(seed)
    rows = np.flatnonzero((events.user >= 0) & np.isin(events.item, items))
    rng.shuffle(rows)
    ids, titles = events.catalogue.vocabulary.ids, events.catalogue.titles
    found = []
    for row in rows:
        stratum = STRATA[len(found) % len(STRATA)]
        query = query_of(titles[events.item[row]], stratum, rng)
        if query is None:
            continue
        found.append((query, ids[events.item[row]], events.users.ids[events.user[row]]))
        found[-1] += (events.timestamp[row], stratum)
        if len(found) == most:
            break
    return pd.DataFrame(found, columns=["query", "item_id", "user_id", "timestamp", "stratum"])


def reciprocal_ranks(version: Path, searches: SearchEvents, users: bool) -> np.ndarray:
    """`[n]`: 1 / rank of the item among the best 10 of the signature `search_text`, else 0."""
    function = tf.saved_model.load(str(version)).signatures["search_text"]
    ids, found = searches.catalogue.vocabulary.ids, []
    for start in range(0, len(searches), 64):
        part = searches.select(np.arange(start, min(start + 64, len(searches))))
        user = searches.users.ids[part.user] if users else np.full(len(part), "", object)
        answer = function(
            query=tf.constant(part.query), user_id=tf.constant(user), k=tf.fill([len(part)], K)
        )
        hits = answer["item_id"].numpy() == np.char.encode(ids[part.item].astype(str))[:, None]
        found.append((hits / np.arange(1, K + 1)).sum(1))
    return np.concatenate(found)


def trained(events: Interactions, searches: SearchEvents, quick: bool) -> SearchModel:
    """A two-tower of the events, with a query tower of the searches."""
    keras.utils.set_random_seed(0)
    recommender = TwoTower(events, vectors=["text"])
    epochs = 1 if quick else 2
    batches = events.batches(512)
    recommender.compile(adam(3e-3, steps=epochs * len(batches)))
    recommender.fit(batches, epochs=epochs, verbose=0)
    model = SearchModel(recommender, events, vectors="spelling")
    epochs = 2 if quick else 3
    batches = search_examples(searches, events, 512)
    model.compile(adam(3e-3, steps=epochs * len(batches)))
    model.fit(batches, epochs=epochs, verbose=0)
    return model


def quality(quick: bool, out: Path) -> list[dict]:
    """A row for each ranking, without and with the user."""
    folder, encoder = DATA / "retail", NGramEncoder()
    items = pd.read_parquet(folder / "items.parquet")
    spelling = encoder.fit(items["title"].tolist()).encode(items["title"].tolist())
    encoder.save(out / "spelling")
    shop = Catalogue(items, {"text": np.load(folder / "minilm_384.npy"), "spelling": spelling})
    split = Interactions.from_parquet(folder / "interactions.parquet", shop).split("temporal")
    validation = split.validation()
    mixed = np.random.default_rng(1).permutation(len(shop))
    third, sixth = len(shop) // 3, len(shop) // 6
    tested, chosen_by, others = np.split(mixed, [third, third + sixth])

    def searches_of(events, items, most, seed, users):
        frame = queries_of(events, items, most, seed)
        vectors = encoder.encode(frame["query"].tolist())
        return frame, SearchEvents.from_frame(frame, shop, users=users, vectors=vectors)

    before = validation.train
    _, asked = searches_of(before, others, 8000 if quick else 60_000, 2, before.users)
    _, held_out = searches_of(validation.test, chosen_by, 1000 if quick else 2000, 4, before.users)
    frame, test = searches_of(split.test, tested, 1000 if quick else 4000, 3, split.train.users)
    assert not {*asked.item} & {*held_out.item} and not {*asked.item} & {*test.item}
    assert not {*held_out.item} & {*test.item}
    model = trained(before, asked, quick)
    configs = {}
    for name, options in RANKINGS.items():
        for users in (False, True):
            if users and name == "text vectors":
                continue
            search = {"texts": ["title"], **options(str(out / "spelling"))}
            search |= {} if users else {"user_weight": 0}
            configs[name, users] = SearchConfig(**search)
            if users or "+" in name:
                known = held_out if users else dataclasses.replace(held_out, users=None)
                configs[name, users] = choose_search_weights(model, before, known, search, k=K)
                print(name, "with the user" if users else "", configs[name, users].weights)
    ranks = {}
    for (name, users), config in configs.items():
        path = out / f"{name} {users}".replace(" ", "_")
        version = export(model, split.train, path, search=config, deployment=False)
        ranks[name, users] = reciprocal_ranks(version, test, users)
        print(name, "with the user" if users else "", ranks[name, users].mean(), flush=True)
    return rows_of(ranks, frame["stratum"].to_numpy(), configs)


def rows_of(ranks: dict, strata: np.ndarray, configs: dict) -> list[dict]:
    rows = []
    for (name, users), values in ranks.items():
        config = configs[name, users]
        row = {"ranking": name, "user": users, "mrr": float(values.mean()), "queries": len(values)}
        low, high = interval(resampled_means(values[:, None].astype(float), 1000, 0))
        row |= {"low": float(low[0]), "high": float(high[0])}
        row |= {one: float(values[strata == one].mean()) for one in STRATA}
        row |= {"fusion": config.fusion, "weights": config.weights}
        for label, other in (
            ("against BM25", ("BM25", False)),
            ("against no user", (name, False)),
            ("against the tower", ("query tower", users)),
        ):
            if other != (name, users):
                row[label] = paired_bootstrap(values, ranks[other])._asdict()
        rows.append(row)
    return rows


def latency(quick: bool, out: Path) -> list[dict]:
    """Median milliseconds of a request on 1M items: bare top-k, vectors, words."""
    from tfrec_fusion.export.search import Search
    from tfrec_fusion.export.served_search import ServedSearch
    from tfrec_fusion.models.serving.dot_product_serving import DotProductServing
    from tfrec_fusion.models.serving.joined_items import JoinedItems
    from tfrec_fusion.models.serving.query_side import TowerQueries
    from tfrec_fusion.rerank.filters import Filters
    from tfrec_fusion.retrieval import exact_top_k
    from tfrec_fusion.retrieval.stored_items import StoredItems

    n_items, dims, columns = 20_000 if quick else 1_000_000, 64, 256
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((n_items, dims), dtype=np.float32)
    vocabulary = np.array([f"w{i:x}q{i % 97:x}" for i in range(50_000)])
    drawn = (rng.pareto(1.0, (n_items, 7)) * 20).astype(int) % len(vocabulary)
    frame = pd.DataFrame({"item_id": np.arange(n_items).astype(str)})
    frame["title"] = [" ".join(words) for words in vocabulary[drawn]]
    serving = DotProductServing(lambda *_: None, vectors, vectors[0], dims)
    texts = StoredItems(rng.standard_normal((n_items, columns), dtype=np.float32))
    whole = tf.Variable(tf.concat([serving.items.vectors, texts.vectors], 1))
    catalogue = Catalogue(frame)

    def served(items, dims, config):
        def tower(query, users, known):
            return tf.pad(query, [[0, 0], [items.shape[1] - dims, 0]])

        serving.query_side = TowerQueries(items, tower, dims, False)
        search = Search(config, serving, catalogue, out)
        return ServedSearch(search, serving, lambda users: None, Filters((), out))

    k = tf.constant(K)

    def asking(items, dims, config):
        one = served(items, dims, config)

        def asked(query, vector):
            inputs = {"query": query, "query_vector": vector, "user_id": tf.fill([1], "")}
            return one.best(inputs | {"k": k[None]}, k)

        spec = [tf.TensorSpec([None], tf.string), tf.TensorSpec([None, None], tf.float32)]
        return tf.function(asked, spec, autograph=False)

    config = SearchConfig(user_weight=0)
    added = SearchConfig(user_weight=0, fusion="scores")
    small = asking(serving.items, dims, config)
    both = asking(JoinedItems([serving.items, texts]), columns, added)
    bare = tf.function(lambda query, items: exact_top_k(query, items, k)[1], autograph=False)
    none, narrow, wide = tf.zeros([1, 0]), tf.constant(vectors[5:6]), texts.vectors[5:6]
    padded = tf.pad(wide, [[0, 0], [dims, 0]])
    text = tf.constant([" ".join(vocabulary[[900, 25_000, 3]])])
    common, typo = tf.constant(["w0q0 w1q1"]), tf.constant(["w384q1b w61a8x"])
    contenders = {
        (bare_64 := f"bare top-{K}, {dims} columns"): lambda: bare(narrow, serving.items.vectors),
        f"a vector, {dims} columns": lambda: small([""], narrow),
        (bare_320 := f"bare top-{K}, {dims + columns} columns"): lambda: bare(padded, whole),
        f"a vector, {dims} + {columns} columns": lambda: both([""], wide),
        "three words (BM25)": lambda: small(text, none),
        "the two most frequent words": lambda: small(common, none),
        "two words, both misspelt": lambda: small(typo, none),
        f"three words and a vector, {dims} + {columns} columns": lambda: both(text, wide),
    }
    compared = {name: bare_64 if "+" not in name else bare_320 for name in contenders}
    compared[bare_320] = bare_320
    times = {name: [] for name in contenders}
    for turn in range(5 if quick else 40):
        for name, work in contenders.items():
            begin = time.perf_counter()
            [value.numpy() for value in tf.nest.flatten(work())]
            if turn > 2 or quick:
                times[name].append(1e3 * (time.perf_counter() - begin))
    medians = {name: statistics.median(values) for name, values in times.items()}
    return [
        {"what": name, "ms": ms, "ratio": ms / medians[compared[name]]}
        for name, ms in medians.items()
    ]


def quality_table(rows: list[dict]) -> str:
    others = ["against BM25", "against the tower", "against no user"]
    heads = ["ranking", "user", "MRR@10", *STRATA, *others, "fused by"]
    lines = [f"| {' | '.join(heads)} |", "| --- |" + " --- |" * (len(heads) - 1)]

    def shown(found):
        if found is None:
            return ""
        return f"{found['difference']:+.3f} [{found['low']:+.3f}, {found['high']:+.3f}]"

    for row in rows:
        cells = [row["ranking"], "yes" if row["user"] else "", f"{row['mrr']:.3f}"]
        cells[-1] += f" [{row['low']:.3f}, {row['high']:.3f}]"
        cells += [f"{row[one]:.3f}" for one in STRATA]
        cells += [shown(row.get(label)) for label in others]
        used = [f"{weight:g}" for weight in row["weights"].values() if weight]
        cells.append(f"{row['fusion']} {' : '.join(used)}" if len(used) > 1 else "")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def latency_table(rows: list[dict]) -> str:
    lines = ["| request | p50, ms | x bare top-k |", "| --- | --- | --- |"]
    lines += [f"| {row['what']} | {row['ms']:.2f} | {row['ratio']:.2f} |" for row in rows]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer queries, steps and items")
    parser.add_argument("--only", choices=["quality", "latency"])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--page", action="store_true", help="write docs/search.md's tables")
    parser.add_argument("--rows", type=Path, help="a file by --json to show, measuring nothing")
    arguments = parser.parse_args()
    found = json.loads(arguments.rows.read_text()) if arguments.rows else {}
    measured = {"quality": quality, "latency": latency}
    with tempfile.TemporaryDirectory() as folder:
        for name in () if arguments.rows else measured:
            if arguments.only in (None, name):
                found[name] = measured[name](arguments.quick, Path(folder))
    tables = {"quality": quality_table, "latency": latency_table}
    for name, rows in found.items():
        print(tables[name](rows))
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1))
    if arguments.page:
        page = ROOT / "docs" / "search.md"
        for name, rows in found.items():
            write_between(page, f"search {name}", tables[name](rows))


if __name__ == "__main__":
    main()
