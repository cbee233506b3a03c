"""A training that is killed at any moment goes on where it was."""

import random
import re
import signal
import subprocess
import sys

import numpy as np
import pytest

from tfrec_fusion.training import Run

_EPOCHS = 6


def _command(small_shop, folder):
    (folder / "config.yaml").write_text("model: {dim: 8, trend_hidden: 4}\nbatch_size: 16\n")
    return [
        *(sys.executable, "-m", "tfrec_fusion.cli", "train"),
        *("--interactions", str(small_shop / "interactions.parquet")),
        *("--items", str(small_shop / "items.parquet")),
        *("--vectors", str(small_shop / "text.npy")),
        *("--config", str(folder / "config.yaml")),
        *("--epochs", str(_EPOCHS), "--out", str(folder / "run")),
    ]


def _killed(command, lines, seconds):
    """Runs the command, kills it some seconds after its n-th line; the epochs that it reported."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    read = []
    for line in process.stdout:
        read.append(line)
        if len(read) == lines:
            break
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
    read += process.stdout.readlines()
    process.wait()
    process.stdout.close()
    return [int(n) for n in re.findall(r"^epoch (\d+)/", "".join(read), re.MULTILINE)]


def _check(small_shop, folder, kills, seed):
    rng = random.Random(seed)
    command = _command(small_shop, folder)
    reported = 0
    for _ in range(kills):
        # After the start, or after the first line of a resumed training and some epochs.
        epochs = _killed(command, rng.randint(0, 3), rng.uniform(0, 6))
        # It goes on after what it had reported, and reports nothing twice or out of order.
        assert epochs == list(range(epochs[0], epochs[-1] + 1)) if epochs else True
        assert not epochs or epochs[0] > reported
        reported = max([reported, *epochs])
        if (folder / "run" / "config.yaml").exists():
            run = Run.open(folder / "run")
            assert run.epochs_done >= reported
            if run.epochs_done:
                run.model()
        else:
            assert reported == 0
    last = subprocess.run(command, capture_output=True, text=True)
    assert last.returncode == 0, last.stderr
    run = Run.open(folder / "run")
    assert run.done
    assert len(run.metrics()["history"]["softmax_loss"]) == _EPOCHS
    assert not list(folder.glob("run/state/.*"))
    return run


def _check_weights(run, folder):
    whole = Run.start(folder / "whole", run.config)
    whole.train()
    expected = {v.name: v.numpy() for v in whole.model().variables}
    for variable in run.model().trainable_variables:
        np.testing.assert_allclose(variable.numpy(), expected[variable.name], atol=1e-5)


@pytest.mark.acceptance
def test_two_kills(small_shop, tmp_path):
    run = _check(small_shop, tmp_path, kills=2, seed=0)
    _check_weights(run, tmp_path)


@pytest.mark.acceptance
def test_ten_kills(small_shop, tmp_path):
    run = _check(small_shop, tmp_path, kills=10, seed=1)
    _check_weights(run, tmp_path)
