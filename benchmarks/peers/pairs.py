"""Shared by the workers of training.py: options, training pairs, and timing."""

import argparse
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.append(str(Path(__file__).resolve().parents[1]))

import numpy as np
from harness import peak_mb, serve


def options() -> argparse.Namespace:
    """Sizes and the optimizer, as training.py passes them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--optimizer", required=True)
    parser.add_argument("--cache", action="store_true", help="the same batches in every epoch")
    parser.add_argument("--no-autotune", action="store_true", help="without tf.data's autotuning")
    for name in ("rows", "dim", "batch", "steps"):
        parser.add_argument(f"--{name}", type=int, required=True)
    return parser.parse_args()


def pairs(rows: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """`count` uniform user and item rows, int32; rows rarely repeat within a batch."""
    rng = np.random.default_rng(0)
    return tuple(rng.integers(0, rows, count).astype(np.int32) for _ in range(2))


def serve_epochs(epoch, steps: int) -> None:
    """Answers each request with the seconds per step of `epoch()`, which returns a float loss."""

    def answer(_message: dict) -> dict:
        started = time.perf_counter()
        loss = epoch()
        seconds = (time.perf_counter() - started) / steps
        return {"seconds": seconds, "loss": loss, "peak_mb": peak_mb()}

    serve(answer)
