"""A shop with attributes and rules, and what `recommend` must answer there."""

import math

import numpy as np
import pandas as pd

from tfrec_fusion.data import Catalogue, Interactions

LOWEST = np.finfo(np.float32).min
NOT_TEXT = b"\xff\xfe"
N_ITEMS = 300
FILTERS = ["category", "price", "in_stock", "tags"]
RULES = {
    "boost": [
        {"match": {"category": "käse"}, "factor": 3.0},
        {"match": {"price": {"max": 10}, "in_stock": True}, "factor": 0.5},
        {"item": "item 7", "factor": 20.0},
    ],
    "block": [{"item": "item 3"}, {"match": {"tags": ["c"], "category": "wein"}}],
    "pin": [
        {"item": "item 11", "position": 2},
        {"item": "item 3", "position": 3},
        {"item": "item 12", "position": 6},
        {"item": "item 13", "position": 1},
    ],
    "cap": [{"by": "category", "at_most": 3}, {"by": "brand", "at_most": 2}],
}


def shop_events() -> Interactions:
    """Each attribute has items without a value; most items were never sold."""
    rng = np.random.default_rng(2)
    tags = [list(rng.choice(["a", "b", "c"], rng.integers(0, 3), False)) for _ in range(N_ITEMS)]
    price = np.round(rng.uniform(1, 50, N_ITEMS), 2)
    frame = pd.DataFrame(
        {
            "item_id": [f"item {i}" for i in range(N_ITEMS)],
            "category": rng.choice(["käse", "wein", "brot", "🧀", ""], N_ITEMS),
            "brand": rng.choice(["x", "y", "z", "w", "v", None], N_ITEMS),
            "price": np.where(rng.random(N_ITEMS) < 0.1, np.nan, price),
            "in_stock": pd.array(rng.choice([True, False, None], N_ITEMS), "boolean"),
            "tags": tags,
        }
    )
    n = 300
    events = {
        "user_id": [f"u{u}" for u in rng.integers(0, 20, n)],
        "item_id": [f"item {i}" for i in rng.integers(0, 60, n)],
        "timestamp": 1.6e9 + rng.uniform(0, 3e7, n),
    }
    return Interactions.from_frame(pd.DataFrame(events), Catalogue(frame), duplicates="first")


class BusinessReference:
    """The semantics of docs/serving.md, a request at a time.

    Args:
      reference: of the model, see conftest.
      frame: the items' columns, in the catalogue's order.
      filters: columns.
      rules: as in a file.
    """

    def __init__(self, reference, frame, filters=(), rules=None):
        self.reference, self.frame, self.filters = reference, frame, filters
        self.rules = {"boost": [], "block": [], "pin": [], "cap": [], **(rules or {})}
        self.ids = list(reference.item_ids)

    def answer(self, request, k):
        """Item ids and scores, at most k of each.

        Args:
          request: "user_id", and where given "history", "exclude", "include", "exclude_seen" and
            the filters' inputs.
        """
        history = request.get("history", [])
        (vector,), (seen,) = self.reference.users([request["user_id"]], [history])
        seen = {self.ids[row] for row in seen}
        if request.get("exclude_seen") and any(history):
            seen |= {
                self.ids[row] for row in self.reference.users([request["user_id"]], [[]])[1][0]
            }
        scores = self.reference.items @ vector
        scores = {
            item: score + self.boost(row)
            for row, (item, score) in enumerate(zip(self.ids, scores, strict=True))
        }
        allowed = [
            item
            for row, item in enumerate(self.ids)
            if not self.blocked(row)
            and item not in seen
            and item not in request.get("exclude", [])
            and self._included(item, request.get("include", []))
            and self._passes(row, request)
        ]
        found = self.greedy(allowed, scores)[:k]
        return found, [scores[item] for item in found]

    def greedy(self, allowed, scores):
        """All items of an answer, of those allowed; scores by item id."""
        pins = {pin["position"]: pin["item"] for pin in self.rules["pin"]}
        pins = {position: item for position, item in sorted(pins.items()) if item in allowed}
        counts = [{} for _ in self.rules["cap"]]

        def take(item):
            for cap, count in zip(self.rules["cap"], counts, strict=True):
                value = self._value(cap["by"], item)
                if value is not None:
                    count[value] = count.get(value, 0) + 1

        def fits(item):
            values = [self._value(cap["by"], item) for cap in self.rules["cap"]]
            return all(
                value is None or count.get(value, 0) < cap["at_most"]
                for value, cap, count in zip(values, self.rules["cap"], counts, strict=True)
            )

        for item in pins.values():
            take(item)
        rest = []
        for item in sorted(allowed, key=lambda item: -scores[item]):
            if item not in pins.values() and fits(item):
                rest.append(item)
                take(item)
        found = []
        while rest or pins:
            position = len(found) + 1
            if position in pins:
                found.append(pins.pop(position))
            elif rest:
                found.append(rest.pop(0))
            else:
                found.append(pins.pop(next(iter(pins))))
        return found

    def boost(self, row):
        factors = [rule["factor"] for rule in self.rules["boost"] if self._hits(rule, row)]
        return sum(map(math.log, factors))

    def blocked(self, row):
        return any(self._hits(rule, row) for rule in self.rules["block"])

    def _hits(self, rule, row):
        if "item" in rule:
            return rule["item"] == self.ids[row]
        return all(_equals(self.frame[c].iloc[row], v) for c, v in rule["match"].items())

    def _value(self, column, item):
        value = self.frame[column].iloc[self.ids.index(item)]
        return None if _missing(value) else value

    @staticmethod
    def _included(item, include):
        return item in include or not any(include)

    def _passes(self, row, request):
        for column in self.filters:
            value = self.frame[column].iloc[row]
            if f"{column}_min" in request or f"{column}_max" in request:
                lowest = request.get(f"{column}_min", math.nan)
                highest = request.get(f"{column}_max", math.nan)
                if not math.isnan(lowest) and not np.float32(value) >= np.float32(lowest):
                    return False
                if not math.isnan(highest) and not np.float32(value) <= np.float32(highest):
                    return False
            wanted = request.get(column)
            if isinstance(wanted, bool):
                if wanted and (_missing(value) or not value):
                    return False
            elif wanted is not None and any(wanted):
                values = value if isinstance(value, list) else [value]
                if not any(one in wanted for one in values if not _missing(one)):
                    return False
        return True


def _equals(value, wanted):
    if isinstance(wanted, dict):
        lowest, highest = wanted.get("min", -math.inf), wanted.get("max", math.inf)
        return not _missing(value) and lowest <= value <= highest
    wanted = wanted if isinstance(wanted, list) else [wanted]
    values = value if isinstance(value, list) else [value]
    return any(one in wanted for one in values if not _missing(one))


def _missing(value):
    nothing = value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value))
    return nothing or (isinstance(value, str) and value == "")


def arrays(requests, k, specs):
    """The arrays of requests that go out together; lists of several requests start with ""."""
    given = [{"k": k, **request} for request in requests]
    found = {}
    for name, spec in specs.items():
        if spec.shape.rank == 2:
            lists = [[*one.get(name, [])] for one in given]
            lists = (
                [["", *own] for own in lists] if len(lists) > 1 else [own or [""] for own in lists]
            )
            width = max(map(len, lists))
            found[name] = np.array([own + [""] * (width - len(own)) for own in lists], object)
        else:
            neutral = {"string": "", "float32": math.nan, "bool": False}
            dtype = object if spec.dtype == "string" else spec.dtype.as_numpy_dtype
            values = [one.get(name, neutral.get(spec.dtype.name)) for one in given]
            found[name] = np.array(values, dtype)
    return found


def merged(parts, size):
    """What TF Serving makes of the arrays of requests that wait at the same time.

    Narrower lists are filled up with the first value of their request, and the batch up to `size`
    with copies of a row.
    """
    found = {}
    for name in parts[0]:
        values = [part[name] for part in parts]
        if values[0].ndim == 2:
            width = max(value.shape[1] for value in values)
            values = [
                np.pad(v, [(0, 0), (0, width - v.shape[1])], constant_values=v.flat[0])
                for v in values
            ]
        whole = np.concatenate(values)
        found[name] = np.concatenate([whole, np.repeat(whole[:1], size - len(whole), 0)])
    return found


def golden_requests(reference, specs):
    """[(arrays, requests, k)] of random requests, known and unknown ids and values."""
    rng, found = np.random.default_rng(4), []
    items = [*reference.ids[:80], "no such item", NOT_TEXT]
    users = [*reference.reference.events.users.ids, "nobody", NOT_TEXT]

    def some(choice, most):
        return [choice[i] for i in rng.integers(0, len(choice), rng.integers(0, most))]

    for batch, k in [(1, 1), (1, 20), (6, 2), (6, 9), (3, N_ITEMS + 3)]:
        requests = []
        for _ in range(batch):
            request = {
                "user_id": users[rng.integers(len(users))],
                "history": some(items, 4),
                "exclude": some(items, 9),
                "include": some(items, 90),
                "exclude_seen": bool(rng.integers(2)),
                "category": some(["käse", "wein", "🧀", "no such text", NOT_TEXT], 4),
                "tags": some(["a", "b", "d"], 3),
                "price_min": float(rng.choice([math.nan, 5.0, 20.0])),
                "price_max": float(rng.choice([math.nan, 30.0, 45.0])),
                "in_stock": bool(rng.integers(2)),
            }
            chosen = rng.random(len(request)) < 0.5
            chosen[0] = True
            requests.append({n: v for (n, v), c in zip(request.items(), chosen, strict=True) if c})
        found.append((arrays(requests, k, specs), requests, min(k, N_ITEMS)))
    return found


def check(reference, request, ids, scores):
    """One row of an answer equals the reference, and breaks no promise on its own."""
    expected, expected_scores = reference.answer(request, len(ids))
    found = [item.decode() for item in ids if item]
    assert found == expected
    np.testing.assert_allclose(scores[: len(found)], expected_scores, rtol=1e-5, atol=1e-5)
    assert (scores[len(found) :] == LOWEST).all()
    assert [bool(item) for item in ids] == [True] * len(found) + [False] * (len(ids) - len(found))
    assert len(set(found)) == len(found)
    pinned = {pin["item"] for pin in reference.rules["pin"]}
    free = [score for item, score in zip(found, scores, strict=False) if item not in pinned]
    assert (np.diff(free) <= 0).all()
    for cap in reference.rules["cap"]:
        values = reference.frame.set_index("item_id")[cap["by"]].loc[found]
        values = values[values.notna() & (values != "")]
        assert values.value_counts().max() <= cap["at_most"] or not len(values)
