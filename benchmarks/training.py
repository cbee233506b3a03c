"""Claim 1: examples per second of TwoTower's `fit` against TFRS, keras-rs and PyTorch.

    python benchmarks/training.py [--quick] [--json FILE] [--peer-python PYTHON]

1M users and 1M items x 64, batch 4096, integer ids, in-batch softmax of dot products. Ours does
more than the peers: item biases, a learned scale, log-q correction, masked accidental hits. It
reshuffles each epoch, like the tutorial's input. "Cached" peers read the same batches in every
epoch; "at its best" is TFRS cached and without tf.data's autotuning, which delays an epoch's end.
"""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from harness import Claim, Options, Worker, has_module, interleave, main

PEERS = Path(__file__).resolve().parent / "peers"
# name -> (script, required module, optimizer, cached input, goal, share of the steps)
CONTENDERS = {
    "TFRS tutorial, Adagrad": ("tfrs_retrieval.py", None, "Adagrad", False, 2.5, 1.0),
    "TFRS tutorial, Adam": ("tfrs_retrieval.py", None, "Adam", False, 10.0, 0.25),
    "TFRS at its best, Adagrad": ("tfrs_retrieval.py", None, "Adagrad", True, None, 1.0),
    "keras-rs, SGD, cached": ("keras_rs_retrieval.py", "keras_rs", "SGD", True, 1.3, 1.0),
    "keras-rs, Adagrad, cached": (
        "keras_rs_retrieval.py",
        "keras_rs",
        "Adagrad",
        True,
        None,
        0.125,
    ),
    "PyTorch, SparseAdam": ("torch_retrieval.py", "torch", "SparseAdam", False, 1.3, 0.25),
    "PyTorch, sparse Adagrad": ("torch_retrieval.py", "torch", "Adagrad", False, 1.3, 0.25),
}


def ours(rows: int, dim: int, batch: int, steps: int) -> Callable[[], float]:
    """Seconds per step of an epoch of `fit`."""
    sys.path.append(str(PEERS))
    from pairs import pairs

    from tfrec_fusion.examples import BlockWindow
    from tfrec_fusion.features import DataSpec
    from tfrec_fusion.models import TwoTower
    from tfrec_fusion.optimizers import for_tables

    spec = DataSpec(n_users=rows, n_items=rows, users="", items="", vector_dims={})
    model = TwoTower(spec, dim=dim, user="id", vectors=[], trend=False, id_dropout=0.0, id_l2=0.0)
    model.compile(for_tables(learning_rate=0.05))
    user, item = pairs(rows, batch * steps)
    data = BlockWindow({"user": user, "item": item}).batches(batch)

    def epoch() -> float:
        started = time.perf_counter()
        model.fit(data, epochs=1, verbose=0)
        return (time.perf_counter() - started) / steps

    return epoch


def claims(options: Options) -> Iterator[Claim]:
    rows, dim = options.size((1_000_000, 64), (1_000_000, 64), (2_000, 8))
    batch, steps = options.size((4096, 60), (4096, 24), (64, 4))
    what = f"training, {rows:,} users and items x {dim}, batch {batch}"
    mine = "TwoTower"
    with contextlib.ExitStack() as stack:
        contenders = {mine: ours(rows, dim, batch, steps)}
        for name, (script, module, optimizer, cached, _, share) in CONTENDERS.items():
            python = sys.executable if module is None else options.peer_python
            if module is not None and not has_module(python, module):
                print(f"absent: {name}; {python} has no {module}", file=sys.stderr, flush=True)
                continue
            sizes = {"rows": rows, "dim": dim, "batch": batch}
            sizes["steps"] = max(int(steps * share), 1)
            flags = [f"--{key}={value}" for key, value in sizes.items()]
            flags += ["--cache"] * cached + ["--no-autotune"] * ("at its best" in name)
            worker = stack.enter_context(
                Worker([python, PEERS / script, f"--optimizer={optimizer}", *flags])
            )
            contenders[name] = lambda worker=worker: worker.ask()["seconds"]
        timings = interleave(contenders, options.rounds)
    for name in timings:
        if name != mine:
            yield Claim.of(what, name, timings, mine, name, goal=CONTENDERS[name][4])


if __name__ == "__main__":
    main(claims, __doc__.partition("\n")[0])
