"""Claim 11: DCN-v2 trains more examples a second than FuxiCTR's and DeepCTR-Torch's.

    python benchmarks/ranking_speed.py [--quick] [--json FILE] [--peer-python PYTHON]

26 features, as in Criteo: two of 100,000 and 20,000 ids, the others of 1,000 categories. All have
embeddings of the same size, cross layers of full rank beside the same deep layers, Adam, cross
entropy, batches of 4,096 rows in memory, and the same threads. Ours has one table for all features
(`SideFeatures`); it is also compared with one table a feature. PYTHON needs the packages of
requirements-peers-ranker.txt, and FUXICTR in the environment names a checkout of FuxiCTR.
"""

import contextlib
import functools
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from harness import Claim, Options, Worker, has_module, interleave, main, seconds

PEER = Path(__file__).resolve().parent / "peers" / "ranker_steps.py"
LAYERS, HIDDEN = 2, (256, 128)
OURS = {"ours": {}, "a table a feature": {"fused": False}, "ours, LazyAdam": {"lazy": True}}
PEERS = {"fuxictr": "FuxiCTR", "deepctr": "DeepCTR-Torch"}


def rows(features: int, count: int, small: int) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Skewed ids `[count, features]`, labels `[count]` and the sizes of the features."""
    rng = np.random.default_rng(0)
    sizes = [100 * small, 20 * small, *[small] * (features - 2)]
    ids = [(size * rng.random(count) ** 3).astype(np.int32) for size in sizes]
    return np.stack(ids, 1), (rng.random(count) < 0.2).astype(np.float32), sizes


def ours(
    ids, label, sizes: list[int], batch: int, dim: int, fused: bool = True, lazy: bool = False
) -> Callable[[], None]:
    """A function that trains all rows once."""
    from tfrec_fusion import optimizers
    from tfrec_fusion._compat import keras, tf
    from tfrec_fusion.layers.side_features import SideFeatures
    from tfrec_fusion.models.backbones.dcn_v2 import DCNv2

    class Fused(keras.layers.Layer):
        """One table for all features."""

        def __init__(self):
            super().__init__()
            self.start = np.cumsum([0, *sizes[:-1]]).astype(np.int32)
            slots = [(1, "sum")] * len(sizes)
            self.table = SideFeatures(1, sum(sizes), slots, 0, 1, dim, hidden=0)

        def call(self, rows):
            return self.table.pooled(rows + self.start)

    class Apart(keras.layers.Layer):
        """A table a feature."""

        def __init__(self):
            super().__init__()
            self.tables = [keras.layers.Embedding(size, dim) for size in sizes]

        def call(self, rows):
            found = [one(rows[:, at]) for at, one in enumerate(self.tables)]
            return tf.concat(found, 1)

    model = keras.Sequential(
        [
            Fused() if fused else Apart(),
            DCNv2(cross_layers=LAYERS, hidden=HIDDEN, rank="full"),
            keras.layers.Dense(1),
        ]
    )
    data = tf.data.Dataset.from_tensor_slices((ids, label)).batch(batch, drop_remainder=True)
    data = data.cache().prefetch(2)
    optimizer = optimizers.LazyAdam(1e-3) if lazy else keras.optimizers.Adam(1e-3)
    model.compile(optimizer, keras.losses.BinaryCrossentropy(from_logits=True))
    return lambda: model.fit(data, epochs=1, verbose=0)


def claims(options: Options) -> Iterator[Claim]:
    features, dim = 26, options.size(16, 16, 4)
    batch, small = options.size(4096, 4096, 64), options.size(1000, 1000, 20)
    count = batch * options.size(40, 15, 2)
    ids, label, sizes = rows(features, count, small)
    contenders = {
        name: seconds(ours(ids, label, sizes, batch, dim, **more)) for name, more in OURS.items()
    }
    there = {one: name for one, name in PEERS.items() if _has(options.peer_python, one)}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        np.savez(folder / "rows.npz", ids=ids, label=label, sizes=sizes, batch=batch)
        more = [str(dim), str(LAYERS), ",".join(map(str, HIDDEN))]
        for peer, name in there.items():
            command = [options.peer_python, PEER, peer, folder / "rows.npz", *more]
            worker = stack.enter_context(Worker([*command, str(len(os.sched_getaffinity(0)))]))
            contenders[name] = functools.partial(lambda one: one.ask()["seconds"], worker)
        for one in contenders.values():
            one()
        timings = interleave(contenders, options.rounds)
    rate = {name: one.divided_by(count) for name, one in timings.items()}
    what = f"an epoch of DCN-v2, {features} features, dim {dim}, batch {batch:,}, an example"
    for name in ("a table a feature", "ours, LazyAdam", *there.values()):
        goal = None if name == "ours, LazyAdam" else 1.5
        yield Claim.of(what, name, rate, "ours", name, goal=goal, unit=1e6, unit_name="us")


def _has(python: str, module: str) -> bool:
    name = {"fuxictr": "fuxictr", "deepctr": "deepctr_torch"}[module]
    found = has_module(python, name) and (module != "fuxictr" or "FUXICTR" in os.environ)
    if not found:
        print(f"left out: {PEERS[module]} is not installed for {python}")
    return found


if __name__ == "__main__":
    main(claims, __doc__.partition("\n")[0])
