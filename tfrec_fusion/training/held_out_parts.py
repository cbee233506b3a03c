"""Splits of the training events that hold out some of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from tfrec_fusion.data import Split, Vocabulary
from tfrec_fusion.errors import InputError


def validation_part(split: Split, *, test: float | None = None, seed: int = 0) -> Split:
    """Returns `split.validation()` with its users in another order.

    By that order, which depends on the events too, models of its training events and of others are
    told apart.
    """
    part = split.validation(test=test, seed=seed)
    order = np.random.default_rng([seed, len(part.train)]).permutation(len(part.train.users))
    users = Vocabulary(part.train.users.ids[order])
    return replace(part, train=part.train.encode_users(users), test=part.test.encode_users(users))


def held_out_parts(
    split: Split, count: int, seed: int, *, test: float | None = None
) -> Iterator[Split]:
    """Yields splits of the training events, the validation part first; see `choose_stack`.

    Each is a split of the training events of the one before it, so it knows nothing of what that
    and the earlier ones hold out.
    """
    for _ in range(count):
        part = validation_part(split, test=test, seed=seed)
        yield part
        split = _earlier(part)


def validation_parts(
    split: Split, count: int, seed: int, *, test: float | None = None
) -> Iterator[Split]:
    """Yields splits of the training events, the validation part first; see `choose_blend`.

    If that is a random part, the others are random parts of the same training events, so that as
    many are left to train on; else they are those of `held_out_parts`.
    """
    part = validation_part(split, test=test, seed=seed)
    yield part
    if part.kind != "random":
        yield from held_out_parts(_earlier(part), count - 1, seed, test=test)
        return
    for place in range(1, count):
        yield validation_part(split, test=test, seed=seed + place)


def _earlier(part: Split) -> Split:
    # Of a given split only the first part has validation events of its own.
    return replace(part, kind="none") if part.kind == "given" else part


def listed_parts(owner: str, parts: Iterator[Split], count: int, split: Split) -> list[Split]:
    """Returns the parts of a split, the folds of a choice.

    Raises:
      InputError: the events allow fewer, or a part has no evaluated user.
    """
    found: list[Split] = []
    try:
        for part in parts:
            if not len(part.targets()[0]):
                raise InputError("no user of it has earlier events and a held-out item")
            found.append(part)
    except InputError as error:
        raise InputError(
            f"{owner}: fold {len(found) + 1} of {count} cannot be made: {error}; "
            f"pass fewer folds or more events. Received: {len(split.train)} training events"
        ) from None
    return found
