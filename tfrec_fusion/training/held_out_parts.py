"""Splits of the training events that hold out some of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from tfrec_fusion.data import Split, Vocabulary


def validation_part(split: Split, *, test: float | None = None, seed: int = 0) -> Split:
    """Returns `split.validation()` with its users in another order.

    By that order, which depends on the events too, models of its training events and of others are
    told apart.
    """
    part = split.validation(test=test, seed=seed)
    order = np.random.default_rng([seed, len(part.train)]).permutation(len(part.train.users))
    users = Vocabulary(part.train.users.ids[order])
    return replace(part, train=part.train.encode_users(users), test=part.test.encode_users(users))


def held_out_parts(split: Split, count: int, seed: int) -> Iterator[Split]:
    """Yields splits of the training events, the validation part first; see `choose_stack`.

    Each is a split of the training events of the one before it, so it knows nothing of what that
    and the earlier ones hold out.
    """
    part = split
    for _ in range(count):
        part = validation_part(part, seed=seed)
        yield part
        # Of a given split only the first part has validation events of its own.
        part = replace(part, kind="none") if part.kind == "given" else part
