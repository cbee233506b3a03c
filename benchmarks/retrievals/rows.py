"""The models of benchmarks/retrieval.py, and the settings that each tries on validation.

A setting is the keys of a run's config, e.g. `{"model": {"kind": "ease", "l2": 200}}`. The first of
a row is the one that `--quick` takes, and the one that is tried if others do not fit into the time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from retrievals.data import TASKS, TEXT, WORDS, Task
from retrievals.peers import PEERS, SEQUENCE

CLASSIC, TRAINED, CONTROL, COMPOSED, PEER = "classic", "trained", "control", "composed", "peer"
MOST_SETTINGS = 6
HEADLINE_SEEDS = 5
# Chosen on the validation period of retail.
TREND = {"l2": 800, "vectors": "text", "text_weight": 20, "event_half_life_days": 360}
TREND |= {"trend_power": 0.6}
# Chosen on the validation items of beauty and of scientific.
ORDERS = (
    {"step_decay": 0.5, "transition_weight": 0.05},
    {"step_decay": 0.8},
)
ORDER_TEXTS = (
    {**ORDERS[0], "vectors": "text", "text_weight": 60, "dims": 256},
    {**ORDERS[1], "vectors": "text", "text_weight": 20, "dims": 128},
)


def _plain(task: Task) -> bool:
    return not task.dislikes and not task.without_valid


def _likes_alone(task: Task) -> bool:
    return not task.dislikes


def _whole_training(task: Task) -> bool:
    return not task.without_valid


def _timed(task: Task) -> bool:
    return task.timed


def _from_spectral(task: Task) -> bool:
    # Repeated events without times cannot be trained in epochs.
    return not task.timed and not task.without_valid and not task.repeated


def _ordered(task: Task) -> bool:
    return task.ordered


def _small(task: Task) -> bool:
    return _plain(task) and not task.large


@dataclass(frozen=True)
class Row:
    """One model of the tables.

    Attributes:
      settings: tried on validation, the first by `--quick`; at most `MOST_SETTINGS`.
      group: what it is compared as; the best `CLASSIC` row is the reference.
      fit: how it is fitted, a key of `retrievals.cells.FITS`.
      where: whether it makes sense for a task.
      seeded: whether a seed changes anything.
      headline: data sets where it has `HEADLINE_SEEDS` seeds.
      members: of a composition, data set -> name -> row; `None` is the key of all others.
    """

    settings: tuple[dict, ...]
    group: str = CLASSIC
    fit: str = "run"
    where: Callable[[Task], bool] = _plain
    seeded: bool = False
    headline: tuple[str, ...] = ()
    members: Mapping[str | None, Mapping[str, str]] = field(default_factory=dict)

    def fits(self, data: str) -> bool:
        """Whether the row belongs into the table of a data set."""
        task = TASKS[data]
        return self.where(task) and bool(self.settings_for(data))

    def settings_for(self, data: str) -> list[dict]:
        """The settings whose vectors a data set has."""
        there = set(TASKS[data].stores)
        return [one for one in self.settings if set(stores_of(one)) <= there]

    def seeds_for(self, data: str, seeds: int) -> range:
        if not self.seeded:
            return range(1)
        return range(max(seeds, HEADLINE_SEEDS) if data in self.headline and seeds > 1 else seeds)

    def members_for(self, data: str) -> Mapping[str, str]:
        return self.members.get(data) or self.members.get(None, {})


def stores_of(*settings) -> list[str]:
    """Names of the vectors that settings read, in order and once each."""
    found: list[str] = []
    for key, value in (item for one in settings for item in one.items()):
        if key == "vectors" and value:
            found += [value] if isinstance(value, str) else value
        elif isinstance(value, Mapping):
            found += stores_of(value)
    return list(dict.fromkeys(found))


def _models(kind: str, *options: Mapping) -> tuple[dict, ...]:
    return tuple({"model": {"kind": kind, **one}} for one in options)


def _with_text(store: str) -> tuple[dict, ...]:
    grid = ((200, 20, None), (500, 20, None), (500, 60, 256), (500, 20, 128), (1000, 20, 128))
    return _models(
        "ease",
        *({"l2": l2, "vectors": store, "text_weight": w, "dims": d} for l2, w, d in (*grid,)),
        {"l2": 100, "vectors": store, "text_weight": 20},
    )


def _spectral(store: str) -> tuple[dict, ...]:
    return _models("spectral", *({"vectors": store, "text_weight": w} for w in (20, 60, 5)))


def _ials() -> tuple[dict, ...]:
    grid = ((64, 0.05, 0.02), (64, 0.2, 0.02), (128, 0.05, 0.02), (128, 0.2, 0.02))
    grid += ((64, 0.05, 0.1), (128, 0.2, 0.1))
    return _models(
        "ials", *({"dim": d, "unobserved_weight": weight, "l2": l2} for d, weight, l2 in grid)
    )


def _tower(user: str, *vectors: list[str], dropouts=(0.2, 0.5), **options) -> tuple[dict, ...]:
    """Settings of a sequence tower, over item vectors of an id and these vectors."""
    return tuple(
        {
            "model": {
                "kind": "two_tower",
                "user": user,
                "dim": 128,
                "user_options": {} if rate is None else {"dropout": rate},
                "vectors": stores,
                **options,
            },
            "examples": {"kind": "sequence", "candidates": 2048},
            "epochs": 9,
        }
        for stores in vectors
        for rate in dropouts
    )


_NEAR = ({"k": 100}, {"k": 100, "similarity": "tf_idf"}, {"k": 100, "shrinkage": 10.0})
_NEAR += ({"k": 400}, {"k": 400, "similarity": "tf_idf"}, {"k": 30})
_STORES = (TEXT, WORDS)
_TWO_TOWER = {"kind": "two_tower"}
_MEMBERS = {
    "retail": {
        "two_tower": "TwoTower",
        "ease": "EASE x trend, with text",
        "recent": "recent popularity",
        "text": "text mean",
    },
    "movies, graded": {
        "two_tower": "TwoTower, spectral start",
        "ease": "EASE with text",
        "ials": "iALS",
        "spectral": "Spectral, text",
    },
    "beauty": {
        "sasrec": "SASRec",
        "two_tower": "TwoTower, spectral start",
        "ease": "EASE with order and text",
        "item_knn": "item-kNN",
        "text": "text mean",
    },
    None: {
        "two_tower": "TwoTower, spectral start",
        "ease": "EASE with words",
        "ials": "iALS",
        "spectral": "Spectral, words",
    },
}
_LINEAR = {"sasrec": "SASRec", "ease": "EASE with order and text"}
_MEMBERS["scientific"] = {
    "spectral": "Spectral, text",
    **{name: row for name, row in _MEMBERS["beauty"].items() if name != "two_tower"},
}
ROWS: dict[str, Row] = {
    "popularity": Row(_models("popularity", {})),
    "recent popularity": Row(
        _models("recent_popularity", *({"share": s} for s in (0.1, 0.05, 0.02, 0.2))), where=_timed
    ),
    "item-kNN": Row(_models("item_knn", *_NEAR)),
    "user-kNN": Row(_models("user_knn", *_NEAR)),
    "RP3beta": Row(
        _models("rp3beta", *({"beta": b} for b in (0.4, 0.2, 0.6, 0.8)), {"alpha": 1.0}, {"k": 400})
    ),
    "iALS": Row(_ials(), where=_whole_training, seeded=True),
    "LightGCN": Row(
        _models("light_gcn", {}, {"layers": 3}, {"epochs": 300}, {"l2": 1e-2}),
        where=_small,
        seeded=True,
    ),
    "EASE": Row(
        _models("ease", *({"l2": x} for x in (500, 200, 1000, 100, 2000, 50))), where=_likes_alone
    ),
    "EASE with text": Row(_with_text(TEXT), where=_whole_training),
    "EASE with words": Row(_with_text(WORDS), where=_whole_training),
    "EASE x trend": Row(
        _models(
            "ease",
            {"l2": 800, "event_half_life_days": 360, "trend_power": 0.6},
            {"l2": 800, "trend_power": 0.8},
            {"l2": 400, "event_half_life_days": 360, "trend_power": 0.6},
            {"l2": 800, "event_half_life_days": 180, "trend_power": 0.8},
        ),
        where=_timed,
    ),
    "EASE x trend, with text": Row(
        _models(
            "ease",
            TREND,
            {**TREND, "vectors": WORDS},
            {**TREND, "l2": 400},
            {**TREND, "trend_power": 0.8},
        ),
        where=_timed,
    ),
    "EASE with order": Row(
        _models("ease", *({"l2": x, **one} for x in (500, 200, 1000) for one in ORDERS)),
        where=_ordered,
    ),
    "EASE with order and text": Row(
        _models("ease", *({"l2": x, **one} for x in (500, 200, 1000) for one in ORDER_TEXTS)),
        where=_ordered,
    ),
    "SparseEASE with order and text": Row(
        _models("sparse_ease", *({"l2": x, **one} for x in (500, 200) for one in ORDER_TEXTS)),
        where=_ordered,
    ),
    "Spectral, text": Row(_spectral(TEXT), where=_whole_training, seeded=True),
    "Spectral, words": Row(_spectral(WORDS), where=_whole_training, seeded=True),
    "text mean": Row(
        _models("text_mean", *({"vectors": s, "dims": d} for d in (128, 256, 64) for s in _STORES))
    ),
    "TwoTower": Row(
        (
            {"model": {**_TWO_TOWER, "vectors": [TEXT]}},
            {"model": {**_TWO_TOWER, "vectors": [TEXT, WORDS]}},
        ),
        TRAINED,
        where=_timed,
        seeded=True,
        headline=("retail",),
    ),
    "TwoTower, spectral start": Row(
        tuple({"model": _TWO_TOWER, "spectral": {"vectors": store}} for store in _STORES),
        TRAINED,
        where=_from_spectral,
        seeded=True,
    ),
    "TwoTower, ID-only": Row(
        (
            {"model": {**_TWO_TOWER, "vectors": []}},
            {"model": {**_TWO_TOWER, "vectors": [], "id_l2": 5e-5}},
        ),
        CONTROL,
        where=_timed,
        seeded=True,
    ),
    "TwoTower, text-only": Row(
        tuple(
            {"model": {**_TWO_TOWER, "vectors": stores, "use_ids": False}}
            for stores in ([TEXT], [TEXT, WORDS])
        ),
        CONTROL,
        where=_timed,
        seeded=True,
    ),
    **{
        name: Row(_tower(name.lower(), [TEXT], [TEXT, WORDS]), TRAINED, where=_ordered, seeded=True)
        for name in ("SASRec", "eSASRec", "HSTU", "GRU4Rec", "Caser")
    },
    **{
        name: Row(
            _tower(user, [TEXT], [TEXT, WORDS], dropouts=(None,)),
            TRAINED,
            where=_ordered,
            seeded=True,
        )
        for name, user in (("decayed history", "decayed_history"), ("ComiRec", "comirec"))
    },
    "SASRec, ID-only": Row(_tower("sasrec", []), CONTROL, where=_ordered, seeded=True),
    "SASRec, text-only": Row(
        _tower("sasrec", [TEXT], [TEXT, WORDS], use_ids=False),
        CONTROL,
        where=_ordered,
        seeded=True,
    ),
    "SASRec with a linear head": Row(
        ({},), COMPOSED, "blend", where=_ordered, seeded=True, members={None: _LINEAR}
    ),
    "blend": Row(({},), COMPOSED, "blend", seeded=True, where=_whole_training, members=_MEMBERS),
    "stack": Row(({},), COMPOSED, "stack", seeded=True, where=_whole_training, members=_MEMBERS),
    "auto": Row(({},), COMPOSED, "auto", seeded=True, where=_whole_training, headline=("retail",)),
    **{
        name: Row(
            peer.settings,
            PEER,
            "peer",
            where=_ordered if peer.script == SEQUENCE else _small if peer.slow else _plain,
            seeded=peer.seed is not None,
        )
        for name, peer in PEERS.items()
    },
}
