"""Claim 10: an epoch of a sequence tower takes less time than RecTools' of the same configuration.

    python benchmarks/sequences.py [--quick] [--json FILE] [--peer-python PYTHON]

SASRec and eSASRec on ids, with the softmax over 12,000 items, on sequences of 5 to 50 events, most
of them short, as in the Amazon sets. The first epoch of each is not measured. PYTHON needs the
packages of requirements-peers-classic.txt. The quality of sequence towers, ours and RecTools', is
in the tables of benchmarks/retrieval.py.
"""

import contextlib
import functools
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from harness import Claim, Options, Worker, has_module, interleave, main, p50, seconds
from serving import asks, shop

PEER = Path(__file__).resolve().parent / "peers" / "sequence_epochs.py"
BLOCKS = {"sasrec": 2, "esasrec": 1}
TOWERS = ("decayed_history", "gru4rec", "caser", "sasrec", "esasrec", "hstu", "comirec")


def sequences(users: int, items: int) -> dict[str, np.ndarray]:
    """User and item rows of ordered events; the mean length is 9, as of Amazon Beauty."""
    rng = np.random.default_rng(0)
    lengths = np.minimum(4 + rng.geometric(0.2, users), 50)
    count = int(lengths.sum())
    item = (items * rng.random(count) ** 2).astype(int)
    return {"user": np.repeat(np.arange(users), lengths), "item": item}


def our_epoch(pairs, items: int, tower: str, dim: int):
    """A function that trains an epoch."""
    import tfrec_fusion as tff
    from tfrec_fusion._compat import keras

    frame = pd.DataFrame({"user_id": pairs["user"].astype(str), "item_id": pairs["item"]})
    frame = frame.assign(item_id=frame["item_id"].astype(str), position=np.arange(len(frame)))
    catalogue = tff.data.Catalogue(pd.DataFrame({"item_id": np.arange(items).astype(str)}))
    events = tff.data.Interactions.from_frame(frame, catalogue, repeats="all")
    model = tff.models.TwoTower(
        events, dim=dim, user=tower, user_options={"blocks": BLOCKS[tower]}, id_l2=0.0
    )
    batches = events.batches(128, examples="sequence", candidates=None)
    model.compile(keras.optimizers.Adam(1e-3))
    return lambda: model.fit(batches, epochs=1, verbose=0)


def claims(options: Options) -> Iterator[Claim]:
    yield from requests(options)
    yield from epochs(options)


def requests(options: Options) -> Iterator[Claim]:
    """The p50 of a request of a list at batch 1, with histories of about 40 events."""
    import tfrec_fusion as tff
    from tfrec_fusion._compat import tf

    n_items = options.size(10_000, 10_000, 500)
    events = shop(n_items, options.size(200_000, 100_000, 4_000))
    towers = {"history": {}} | {name: {"user": name, "trend": False} for name in TOWERS}
    with tempfile.TemporaryDirectory() as folder:
        loaded = {}
        for name, more in towers.items():
            model = tff.models.TwoTower(events, dim=64, vectors=[], **more)
            path = tff.export(model, events, Path(folder) / name, deployment=False)
            loaded[name] = tf.saved_model.load(str(path))
        asked = tf.constant(events.users.ids[:1])
        repeat = options.size(40, 20, 2)
        contenders = {name: p50(asks(one, asked), repeat) for name, one in loaded.items()}
        timings = interleave(contenders, options.rounds)
    for name in TOWERS:
        what = f"serving_default with {name}: {n_items:,} items, batch 1, p50"
        yield Claim.of(
            what, "the pooled history", timings, name, "history", goal=2.0, better="lower"
        )


def epochs(options: Options) -> Iterator[Claim]:
    """The seconds of an epoch, beside RecTools."""
    if not has_module(options.peer_python, "rectools"):
        print(f"left out: RecTools is not installed for {options.peer_python}")
        return
    users, items = options.size((10_000, 12_000), (2_000, 12_000), (200, 300))
    dim, threads = options.size(128, 128, 8), len(os.sched_getaffinity(0))
    pairs = sequences(users, items)
    for tower in BLOCKS:
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            np.savez(Path(folder) / "pairs.npz", **pairs, items=items)
            command = [options.peer_python, PEER, Path(folder) / "pairs.npz", tower]
            command += [str(BLOCKS[tower]), str(dim), str(threads)]
            worker = stack.enter_context(Worker(command))
            ours = our_epoch(pairs, items, tower, dim)
            ours()
            worker.ask()
            theirs = functools.partial(lambda one: one.ask()["seconds"], worker)
            timings = interleave({"ours": seconds(ours), "RecTools": theirs}, options.rounds)
        what = f"an epoch of {tower}, {users:,} users, {items:,} items, dim {dim}"
        yield Claim.of(
            what, "RecTools, softmax", timings, "ours", "RecTools", goal=1.5, unit=1, unit_name="s"
        )


if __name__ == "__main__":
    main(claims, __doc__.partition("\n")[0])
