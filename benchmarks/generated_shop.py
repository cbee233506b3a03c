"""A shop of any size with planted taste, trends and cold items, and the oracle that knows them.

Every event is drawn from a known law. At week t a user u takes item i with probability

    p(i | u, t) = sum_k theta_uk a_ik b_i g_i(t) / Z_k(t)

- theta_u: shares of 64 topics, of which a user likes four; a tenth of all events are of a topic at
  large;
- a_i: an item belongs to one topic, and by a smaller part to a second one;
- b_i: its lasting popularity, log-normal;
- g_i(t): its trend, which begins at its release, rises, and falls to a floor. Items are released
  all the time, so some appear only in the test period;
- Z_k(t): sums topic k to one.

A user takes an item once. The vectors of the texts are noisy sums of the topics' directions, of
which half of the topics share one with another topic: text alone cannot tell these apart, events
can. The number of events of a user follows a power law, and users come and go.

There are 3 users and 1 item for each 100 events.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from tfrec_fusion.data import Catalogue, Interactions, Split

DAYS, WEEK, START = 730, 7, 1.6e9
TOPICS, LIKED, VECTOR_DIM = 64, 4, 384
AT_LARGE = 0.1  # share of the events of a topic that the user need not like
DAY = 86_400.0


@dataclass(frozen=True)
class GeneratedShop:
    """Events, items and the law that they were drawn from.

    Attributes:
      events: all events, with times.
      taste: `[n_users, 64]` float32, theta; row u is user "u<u>".
      topics: `[n_items, 64]` float32, a.
      popularity, release, duration: `[n_items]`, of b and g; days.
    """

    events: Interactions
    taste: np.ndarray
    topics: np.ndarray
    popularity: np.ndarray
    release: np.ndarray
    duration: np.ndarray

    def weights(self, week: int) -> np.ndarray:
        """`[n_items]` b_i g_i in the middle of a week; 0 before the release."""
        age = ((week + 0.5) * WEEK - self.release) / self.duration
        trend = np.where(age < 0, 0.0, 0.15 + age * np.exp(1 - np.maximum(age, 0)))
        return self.popularity * trend

    def probabilities(self, week: int) -> np.ndarray:
        """`[n_items, 64]` of each item given the topic, in a week; 0 for a topic without items."""
        weighted = self.topics * self.weights(week)[:, None]
        return weighted / np.maximum(weighted.sum(0), 1e-12)


class Oracle:
    """Scores by the true probabilities, averaged over weeks: a model for `evaluate`.

    Args:
      shop: the generated shop.
      split: whose users are scored.
      weeks: week -> weight in the mean.
    """

    def __init__(self, shop: GeneratedShop, split: Split, weeks: dict[int, float], name: str):
        self.name = name
        # Unseen items are scored as all others: their text and their future are known here.
        items = np.zeros_like(shop.topics, dtype=np.float64)
        for week, weight in weeks.items():
            items += weight * shop.probabilities(week)
        self._items = items.astype(np.float32)
        self._users = shop.taste[[int(str(name)[1:]) for name in split.train.users.ids]]

    @classmethod
    def of_test_period(cls, shop: GeneratedShop, split: Split) -> Oracle:
        """Knows the law of the test period, which no model can: trends to come, new items."""
        weeks, counts = np.unique(week_of(split.test.event_times), return_counts=True)
        shares = dict(zip(weeks.tolist(), (counts / counts.sum()).tolist(), strict=True))
        return cls(shop, split, shares, "oracle of the test period")

    @classmethod
    def of_last_week(cls, shop: GeneratedShop, split: Split) -> Oracle:
        """Knows the law of the last week before the test period."""
        last = int(week_of(np.array([split.time]))[0]) - 1
        return cls(shop, split, {last: 1.0}, "oracle of the last training week")

    def scorer(self, state):
        return _Scorer(self._users, self._items)


class _Scorer:
    def __init__(self, users: np.ndarray, items: np.ndarray):
        self._users = users
        self.item_vectors = items

    def user_vectors(self, users: np.ndarray) -> np.ndarray:
        return self._users[users]

    def __call__(self, users: np.ndarray) -> np.ndarray:
        return self.user_vectors(users) @ self.item_vectors.T


def week_of(times: np.ndarray) -> np.ndarray:
    """The week of unix times."""
    return ((times - START) // (WEEK * DAY)).astype(np.int64)


def generated_shop(n_events: int, seed: int = 0) -> GeneratedShop:
    """Draws a shop with `n_events` events, 3 % as many users and 1 % as many items."""
    rng = np.random.default_rng(seed)
    n_users, n_items = 3 * n_events // 100, n_events // 100
    sizes = rng.dirichlet(np.full(TOPICS, 5.0))

    topics = np.zeros((n_items, TOPICS), np.float32)
    second = rng.uniform(0.0, 0.3, n_items)
    topics[np.arange(n_items), rng.choice(TOPICS, n_items, p=sizes)] = 1 - second
    topics[np.arange(n_items), rng.choice(TOPICS, n_items, p=sizes)] += second
    directions = rng.normal(size=(TOPICS, VECTOR_DIM)) / np.sqrt(VECTOR_DIM)
    directions[1 : TOPICS // 2 : 2] = directions[: TOPICS // 2 : 2]
    noise = rng.normal(0.0, 0.05, (n_items, VECTOR_DIM)).astype(np.float32)
    vectors = topics @ directions.astype(np.float32) + noise

    liked = np.stack([rng.choice(TOPICS, n_users, p=sizes) for _ in range(LIKED)], 1)
    shares = rng.dirichlet(np.ones(LIKED), n_users) * (1 - AT_LARGE)
    taste = np.tile((AT_LARGE * sizes).astype(np.float32), (n_users, 1))
    np.add.at(taste, (np.arange(n_users)[:, None], liked), shares)

    items = pd.DataFrame({"item_id": np.char.add("i", np.arange(n_items).astype(str))})
    shop = GeneratedShop(
        events=None,  # pyright: ignore[reportArgumentType]
        taste=taste,
        topics=topics,
        popularity=rng.lognormal(0.0, 1.5, n_items),
        release=rng.uniform(-DAYS / 2, DAYS, n_items),
        duration=rng.lognormal(np.log(60), 0.7, n_items),
    )
    users, times, chosen = _events(shop, n_events, sizes, rng)
    names = pd.array(np.char.add("u", np.arange(n_users).astype(str)), dtype="string[pyarrow]")
    ids = pd.array(items["item_id"], dtype="string[pyarrow]")
    frame = pd.DataFrame({"user_id": names[users], "item_id": ids[chosen], "timestamp": times})
    catalogue = Catalogue(items, {"text": vectors})
    parts = {name: getattr(shop, name) for name in shop.__dataclass_fields__}
    return GeneratedShop(**parts | {"events": Interactions.from_frame(frame, catalogue)})


def _events(shop: GeneratedShop, n_events: int, sizes: np.ndarray, rng: np.random.Generator):
    """Users, days and items of `n_events` events of distinct pairs, in time order."""
    n_users, n_items = shop.taste.shape[0], np.int64(len(shop.topics))
    activity = np.minimum(1 + rng.pareto(1.5, n_users), 100.0)
    begin = rng.uniform(0.0, 0.95 * DAYS, n_users)
    stays = rng.random(n_users) < 0.5
    end = np.where(stays, DAYS, np.minimum(begin + rng.exponential(200.0, n_users), DAYS))
    draw = _Draw(shop)
    pairs, times = np.empty(0, np.int64), np.empty(0)
    while len(pairs) < n_events:
        users = rng.choice(n_users, n_events, p=activity / activity.sum())
        days = begin[users] + rng.random(n_events) * (end[users] - begin[users])
        order = np.argsort(days)
        users, days = users[order], days[order]
        items = draw(users, days, rng)
        drawn = items >= 0
        pairs = np.concatenate([pairs, users[drawn] * n_items + items[drawn]])
        times = np.concatenate([times, days[drawn]])
        pairs, first = np.unique(pairs, return_index=True)
        times = times[first]
    kept = rng.permutation(len(pairs))[:n_events]
    kept = kept[np.argsort(times[kept])]
    users, items = np.divmod(pairs[kept], n_items)
    return users, START + times[kept] * DAY, items


class _Draw:
    """Draws an item for each of users at days, which ascend; -1 in a topic without items."""

    def __init__(self, shop: GeneratedShop):
        self._shop = shop
        topic, owned = np.nonzero(shop.topics.T)
        self._owned, self._share = owned, shop.topics[owned, topic]
        self._bounds = np.searchsorted(topic, np.arange(TOPICS + 1))
        likes = np.cumsum(shop.taste.astype(np.float64), 1)
        self._likes = likes / likes[:, -1:]

    def __call__(self, users: np.ndarray, days: np.ndarray, rng: np.random.Generator):
        items = np.empty(len(users), np.int64)
        starts = np.searchsorted(days, WEEK * np.arange(DAYS // WEEK + 2))
        for week, (start, stop) in enumerate(itertools.pairwise(starts)):
            topic = (self._likes[users[start:stop]] < rng.random(stop - start)[:, None]).sum(1)
            mass = np.cumsum(self._share * self._shop.weights(week)[self._owned])
            edges = np.concatenate([[0.0], mass])[self._bounds]
            at = edges[topic] + rng.random(len(topic)) * (edges[topic + 1] - edges[topic])
            place = np.minimum(np.searchsorted(mass, at, "right"), self._bounds[topic + 1] - 1)
            some = edges[topic + 1] > edges[topic]
            items[start:stop] = np.where(some, self._owned[place], -1)
        return items


class InferredTaste(Oracle):
    """Knows the items' law until the last training week, but users by their histories alone.

    No model can do better without the future: the shares of the topics are those of the greatest
    posterior, by expectation and maximisation, with four events of the mean taste as prior.
    """

    def __init__(self, shop: GeneratedShop, split: Split):
        last = int(week_of(np.array([split.time]))[0]) - 1
        super().__init__(shop, split, {last: 1.0}, "true items, taste from the history")
        histories = split.train.histories()
        mass = np.stack([shop.weights(week) @ shop.topics for week in range(DAYS // WEEK + 1)])
        owners = np.repeat(np.arange(len(histories.lengths)), histories.lengths)
        prior = shop.taste.mean(0)
        self._users = np.empty((len(histories.lengths), TOPICS), np.float32)
        for start in range(0, len(histories.lengths), 4096):
            stop = min(start + 4096, len(histories.lengths))
            events = slice(histories.splits[start], histories.splits[stop])
            weeks = week_of(histories.event_times[events])
            fits = shop.topics[histories.items[events]] / np.maximum(mass[weeks], 1e-12)
            rows = owners[events] - start
            sums = sparse.csr_array(
                (np.ones(len(rows)), (rows, np.arange(len(rows)))), (stop - start, len(rows))
            )
            taste = np.tile(prior, (stop - start, 1))
            for _ in range(40):
                shares = taste[rows] * fits
                shares /= shares.sum(1, keepdims=True) + 1e-30
                taste = sums @ shares + 4 * prior
                taste /= taste.sum(1, keepdims=True)
            self._users[start:stop] = taste
