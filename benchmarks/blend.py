"""`serving_default` of an exported blend against the sum of its members, each exported alone."""

import tempfile
from pathlib import Path

import numpy as np
from harness import Claim, Options, Timing, interleave, main, p50
from serving import asks, shop

from tfrec_fusion._compat import tf
from tfrec_fusion.export import export
from tfrec_fusion.models import TwoTower
from tfrec_fusion.models.classic import EASE, RecentPopularity
from tfrec_fusion.pipelines import Blend

SUM = "the sum of the members, each exported alone"


def claims(options: Options):
    n_items = options.size(10_000, 10_000, 500)
    events = shop(n_items, options.size(400_000, 200_000, 4_000))
    members = {
        "two_tower": TwoTower(events, dim=64, vectors=[]),
        "ease": EASE(l2=200.0).fit(events),
        "recent": RecentPopularity().fit(events),
    }
    blends = {
        "rank": Blend(members, cold="two_tower"),
        "zscore": Blend(members, how="zscore"),
    }
    with tempfile.TemporaryDirectory() as folder:
        loaded = {
            name: tf.saved_model.load(
                str(export(model, events, Path(folder) / name, deployment=False))
            )
            for name, model in (members | blends).items()
        }
        users = np.random.default_rng(1).choice(events.users.ids, 64, replace=False)
        for batch in (1, 64):
            asked = tf.constant(users[:batch])
            repeat = options.size(*((40, 20, 2) if batch == 1 else (8, 4, 1)))
            timings = interleave(
                {name: p50(asks(one, asked), repeat) for name, one in loaded.items()},
                options.rounds,
            )
            parts = zip(*(timings[name].values for name in members), strict=True)
            timings[SUM] = Timing(tuple(map(sum, parts)))
            for name in blends:
                yield Claim.of(
                    f"serving_default of a blend by {name}: {n_items:,} items, batch {batch}, p50",
                    SUM,
                    timings,
                    name,
                    SUM,
                    goal=1.3 if batch == 1 else None,
                    better="lower",
                )


if __name__ == "__main__":
    main(claims, __doc__)
