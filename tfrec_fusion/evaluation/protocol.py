"""Full-catalogue ranking evaluation of recommenders."""

import time
from collections.abc import Callable, Iterable

import numpy as np
from rich.console import Console
from scipy import sparse

from tfrec_fusion.errors import InputError
from tfrec_fusion.evaluation.bootstrap import interval, resampled_means
from tfrec_fusion.evaluation.expectation import expected_metrics, metric_names, tie_groups
from tfrec_fusion.evaluation.ranks import Ranks
from tfrec_fusion.evaluation.report import Report
from tfrec_fusion.evaluation.slices import ITEM_SLICES, USER_SLICES, item_slices, user_slices
from tfrec_fusion.features.state import State
from tfrec_fusion.progress import WorkProgress
from tfrec_fusion.retrieval.counted_ranks import count_ranks, top_items

_BLOCK_SCORES = 1 << 26  # scores held at once (256 MB)


def evaluate(
    model,
    split,
    *,
    k: Iterable[int] = (10, 20),
    slices: bool = True,
    bootstrap: int = 1000,
    seed: int = 0,
    batch: int = 4096,
    name: str | None = None,
    history: int | None = None,
    mask_history: bool | None = None,
    users: int | None = 50_000,
    progress: Console | bool | None = None,
) -> Report:
    """Evaluates a model by full-catalogue ranking of the test items of every evaluated user.

    Evaluated users have a training event and at least one test item that is not among their
    training items (`split.targets()`). Candidates are all items, cold ones included, except the
    user's training items; with `mask_history=False` these are candidates too, as in the protocols
    of some published tables. If repeated events count (`Interactions(repeats="all")`), training
    items are targets and candidates as all others. Relevance is binary. Each metric is the mean
    over the users of a slice:

    - `recall@k`: share of the user's relevant items in the top k (divided by all of them).
    - `ndcg@k`: DCG with discount `1 / log2(rank + 1)`, divided by the best attainable at k.
    - `hr@k`: 1 if at least one relevant item is in the top k, else 0.
    - `mrr@k`: `1 / rank` of the first relevant item, 0 beyond k.
    - `map@k`: sum of the precision at each hit in the top k, divided by `min(relevant, k)`.
    - `novelty@k` (total only): mean of `-log2((c + 1) / (C + n_items))` in bits over the list, with
      `c` the item's and `C` all training events; add-one smoothing keeps cold items finite.
    - `coverage@k` (total only): share of the catalogue that is in some evaluated user's list.

    Ties get the exact expectation over all orders of the tied items
    (`tfrec_fusion.evaluation.expectation`), so a constant score gains nothing. Only the lists for
    coverage and novelty break ties, by item row.

    Slices (`report.counts` has the users and targets of each; a user is in a slice with at least
    one target in it):

    - `total`: everything.
    - `warm`, `cold`: items with and without a training event. Each is ranked among itself: targets
      and candidates are restricted to the slice.
    - `head`, `tail`: the most popular 20 % of the warm items, and the other warm items. Targets are
      restricted to the slice; candidates are the whole catalogue except the user's targets outside
      the slice, as ranking those first is no mistake. So a perfect model reaches 1.
    - `repeated`, `novel`, only if repeated events count: targets among the user's training items,
      and all others; candidates as for `head`.
    - `new users`, `old users`: users with at most 5 and with more training items; candidates as in
      `total`.

    Ranks are counted, not sorted: the candidates above each target and tied with it.

    Args:
      model: anything with `scorer(state)`, which returns a function from user rows `[B]` int32 to
        scores `[B, n_items]` float32, higher is better; `state` is a `features.State` of the
        training events. `evaluate` masks the training items itself. If scores are dot products, the
        returned scorer should have `item_vectors` `[n_items, D]` and a method
        `user_vectors(users [B]) -> [B, D]`: the scores then stay in TensorFlow, on its threads or
        GPU, which is many times faster (`tfrec_fusion.evaluation.vector_ranks`). A scorer with the
        attribute `most_users` gets no more users at once.
      split: a `Split` with test events.
      k: cut-offs.
      slices: whether to report more than `total`.
      bootstrap: number of resamples of the users for the 95 % percentile intervals; 0 for none.
      seed: of the resamples and the sample of users.
      batch: users scored at once; lowered so that a block never holds more than 2^26 scores. With
        vectors, items are scored in blocks too, and a block holds at most 2^25 scores.
      name: of the model in tables; by default its `name`, or else its class.
      history: number of last training items of each user that the model may read, e.g. 0 to measure
        new users; None for all. It does not change the candidates.
      mask_history: whether a user's training items are left out of the candidates; None leaves them
        out unless repeated events count.
      users: most users to evaluate. Of more, a random sample by `seed` is, the same one for every
        model: intervals are those of the sample, and coverage counts its lists alone. None for
        all, in a time that grows with users x items.
      progress: a rich console for the progress; None is standard error, False no output.

    Raises:
      InputError: a bad argument, no evaluated user, scores of a wrong shape or not finite, or
        `mask_history=True` with repeated events that count.

    Example:
      >>> from tfrec_fusion.models.classic import Popularity
      >>> report = evaluate(Popularity().fit(split.train), split)
      >>> 0 <= report.metrics["cold"]["ndcg@10"] <= 1
      True
    """
    started = time.perf_counter()
    cuts = checked_cuts(k, bootstrap, history)
    if batch < 1:
        raise InputError(f"evaluate: batch must be at least 1 user. Received: {batch}")
    check_users(users)
    check_scorer("evaluate", model)
    check_split("evaluate", split)
    evaluated, targets = split.targets()
    if not len(evaluated):
        raise InputError(
            "evaluate: split has no evaluated user: no user has both a training event and a new "
            f"test item; use another split or more data. Received: kind {split.kind!r}"
        )
    found = len(evaluated)
    if users is not None and found > users:
        chosen = np.sort(np.random.default_rng(seed).choice(found, users, replace=False))
        evaluated, targets = evaluated[chosen], targets.take(chosen)
    matrix = split.train.matrix()
    items = item_slices(matrix)
    repeated = getattr(split, "repeats", "first") == "all"
    if mask_history and repeated:
        raise InputError(
            "evaluate: mask_history would mask the repeated targets; leave it out, or pass a split "
            "of events.with_repeats('first'). Received: mask_history=True with repeats='all'"
        )
    hides = not repeated if mask_history is None else mask_history
    masked = matrix if hides else sparse.csr_matrix(matrix.shape, dtype=matrix.dtype)
    scorer = model.scorer(State.of(split.train).cut(history))
    cold = items["cold"] if slices else np.zeros(matrix.shape[1], bool)
    rank = _rank
    if hasattr(scorer, "user_vectors") and hasattr(scorer, "item_vectors"):
        from tfrec_fusion.evaluation.vector_ranks import rank_by_vectors as rank
    ranks = Ranks.of(targets, matrix, cuts)
    shown = WorkProgress("evaluated", len(evaluated), "users", console=progress, tell_end=False)
    with shown:
        rank(ranks, scorer, evaluated, targets, masked, cold, cuts, batch, shown.advance)

    per_user: dict[str, dict[str, np.ndarray]] = {}
    members: dict[str, np.ndarray] = {}
    counts: dict[str, dict[str, int]] = {}
    everything = np.ones(len(ranks.item), bool)
    place, per_user["total"] = _slice_metrics(ranks, "total", everything, cuts)
    members["total"] = evaluated[place]
    counts["total"] = {"users": len(place), "targets": len(ranks.item)}
    per_user["total"] |= {f"novelty@{cut}": ranks.novelty[cut] for cut in cuts}
    if slices:
        chosen_targets = {label: items[label][ranks.item] for label in ITEM_SLICES}
        if repeated:
            had = np.asarray(matrix[evaluated[ranks.user], ranks.item]).ravel() > 0
            chosen_targets |= {"repeated": had, "novel": ~had}
        for label, chosen in chosen_targets.items():
            place, per_user[label] = _slice_metrics(ranks, label, chosen, cuts)
            members[label] = evaluated[place]
            counts[label] = {"users": len(place), "targets": int(chosen.sum())}
        user_masks = user_slices(matrix)
        for label in USER_SLICES:
            inside = user_masks[label][evaluated]
            per_user[label] = {
                metric: values[inside]
                for metric, values in per_user["total"].items()
                if not metric.startswith("novelty@")
            }
            members[label] = evaluated[inside]
            counts[label] = {
                "users": int(inside.sum()),
                "targets": int(inside[ranks.user].sum()),
            }
    metrics, intervals = _summarise(per_user, bootstrap, seed)
    for cut in cuts:
        metrics["total"][f"coverage@{cut}"] = float(ranks.recommended[cut].mean())
    return Report(
        name=name or getattr(model, "name", None) or type(model).__name__,
        k=cuts,
        metrics=metrics,
        intervals=intervals,
        counts=counts,
        slice_users=members,
        slice_per_user=per_user,
        split=split.kind + (", repeats" if repeated else "" if hides else ", history not masked"),
        bootstrap=bootstrap,
        seed=seed,
        seconds=time.perf_counter() - started,
        sampled_from=None if len(evaluated) == found else found,
    )


def check_scorer(name: str, model) -> None:
    """Raises InputError if a model cannot score users."""
    if not callable(getattr(model, "scorer", None)):
        raise InputError(
            f"{name}: model must have a method scorer(state) that returns a function from user "
            f"rows to scores. Received: {type(model).__name__}"
        )


def check_split(name: str, split) -> None:
    """Raises InputError for events or batches in the place of a split."""
    if not callable(getattr(split, "targets", None)):
        raise InputError(
            f"{name}: split must be a Split, e.g. events.split('temporal'). "
            f"Received: {type(split).__name__}"
        )


def checked_cuts(k: Iterable[int], bootstrap: int, history: int | None) -> tuple[int, ...]:
    """Returns the cut-offs in ascending order; InputError if an argument of `evaluate` is bad."""
    if bootstrap < 0:
        raise InputError(f"evaluate: bootstrap must be 0 or more resamples. Received: {bootstrap}")
    number = isinstance(history, int | np.integer) and not isinstance(history, bool)
    if history is not None and not (number and history >= 0):
        raise InputError(
            "evaluate: history must be a whole number of 0 or more items, or None. "
            f"Received: {history!r}"
        )
    cuts = tuple(k) if isinstance(k, Iterable) else (k,)
    whole = all(isinstance(cut, int | np.integer) and cut >= 1 for cut in cuts)
    if not cuts or not whole or len(set(cuts)) != len(cuts):
        raise InputError(
            f"evaluate: k must be different whole numbers from 1 up, e.g. (10, 20). Received: {k}"
        )
    return tuple(sorted(int(cut) for cut in cuts))


def check_users(users: int | None) -> None:
    """Raises InputError if the largest number of users is no whole number from 1 up, or None."""
    whole = isinstance(users, int | np.integer) and not isinstance(users, bool)
    if users is not None and not (whole and users >= 1):
        raise InputError(
            "evaluate: users must be a whole number of 1 or more, or None for all. "
            f"Received: {users!r}"
        )


def _rank(
    ranks: Ranks,
    scorer: Callable[[np.ndarray], np.ndarray],
    users: np.ndarray,
    targets,
    masked: sparse.csr_matrix,
    cold: np.ndarray,
    cuts: tuple[int, ...],
    batch: int,
    advance: Callable[[int], None],
) -> None:
    """Scores the users in blocks and keeps only the counts."""
    n_items = masked.shape[1]
    most = getattr(scorer, "most_users", batch)
    step = max(1, min(batch, most, _BLOCK_SCORES // n_items))
    cold_items = np.flatnonzero(cold)
    splits = targets.splits
    for start in range(0, len(users), step):
        stop = min(start + step, len(users))
        block = _scores(scorer, users[start:stop], n_items)
        seen = masked[users[start:stop]]
        block[np.repeat(np.arange(stop - start), np.diff(seen.indptr)), seen.indices] = -np.inf
        here = slice(splits[start], splits[stop])
        score = block[ranks.user[here] - start, ranks.item[here]]
        ranks.set_scores(users, here, score)
        block_splits = splits[start : stop + 1] - splits[start]
        ranks.greater[here], ranks.equal[here] = count_ranks(block, block_splits, score)
        if len(cold_items):
            ranks.greater_cold[here], ranks.equal_cold[here] = count_ranks(
                block[:, cold_items], block_splits, score
            )
        ranks.add_lists(slice(start, stop), top_items(block, max(cuts)))
        advance(stop - start)


def _scores(scorer, users: np.ndarray, n_items: int) -> np.ndarray:
    """A block of scores, copied so that masking does not write into the model's memory."""
    scores = np.array(scorer(users), dtype=np.float32)
    if scores.shape != (len(users), n_items):
        raise InputError(
            f"evaluate: scores must be [users, items] = {(len(users), n_items)}. "
            f"Received: shape {scores.shape}"
        )
    finite = np.isfinite(scores)
    if not finite.all():
        user, item = np.argwhere(~finite)[0]
        raise InputError(
            f"evaluate: scores must be finite, but {int((~finite).sum())} in a block are "
            f"not; return a number for every item. Received: {scores[user, item]} for user row "
            f"{users[user]}, item row {item}"
        )
    return scores


def _slice_metrics(
    ranks: Ranks, label: str, chosen: np.ndarray, cuts: tuple[int, ...]
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Positions of the users with a target in the slice, and their metrics."""
    if not chosen.any():
        return np.empty(0, np.int64), {metric: np.empty(0) for metric in metric_names(cuts)}
    if chosen.all():
        user, above, tied = ranks.user, *ranks.tie_groups
    else:
        user = ranks.user[chosen]
        above, tied = tie_groups(user, ranks.score[chosen])
    if label == "cold":
        greater, equal = ranks.greater_cold[chosen], ranks.equal_cold[chosen]
    else:
        greater, equal = ranks.greater[chosen], ranks.equal[chosen]
        if label == "warm":
            greater = greater - ranks.greater_cold[chosen]
            equal = equal - ranks.equal_cold[chosen]
        elif label != "total":
            all_above, all_tied = ranks.tie_groups
            greater = greater - (all_above[chosen] - above)
            equal = equal - (all_tied[chosen] - tied)
    return expected_metrics(user, greater, equal, above, tied, cuts)


def _summarise(
    per_user: dict[str, dict[str, np.ndarray]], bootstrap: int, seed: int
) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, tuple[float, float]]]]:
    """Means and 95 % intervals of each slice; NaN and no interval for a slice without users."""
    metrics, intervals = {}, {}
    for label, columns in per_user.items():
        values = np.stack(list(columns.values()), axis=1)
        if not len(values):
            metrics[label] = dict.fromkeys(columns, float("nan"))
            intervals[label] = {}
            continue
        metrics[label] = dict(zip(columns, values.mean(0).tolist(), strict=True))
        intervals[label] = {}
        if bootstrap:
            low, high = interval(resampled_means(values, bootstrap, seed))
            pairs = zip(low.tolist(), high.tolist(), strict=True)
            intervals[label] = dict(zip(columns, pairs, strict=True))
    return metrics, intervals
