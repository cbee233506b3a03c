import io
import re

import numpy as np
import pytest
from rich.console import Console

from tfrec_fusion._compat import keras
from tfrec_fusion.training import ProgressBar


@pytest.mark.parametrize("terminal", [False, True])
def test_a_line_an_epoch(terminal):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    text = io.StringIO()
    console = Console(file=text, force_terminal=terminal, width=100)
    bar = ProgressBar(console, "epoch")
    model.fit(np.ones((4, 2)), np.ones(4), batch_size=2, epochs=2, verbose=0, callbacks=[bar])
    written = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", text.getvalue())
    lines = re.findall(r"epoch (\d/\d): loss \d+\.\d{3}, \d+\.\d s", written)
    assert lines == ["1/2", "2/2"]
    # Only a terminal gets the bar, which counts the batches.
    assert ("2/2 loss" in written) == terminal


class _Clock:
    """A clock on which each step takes ten seconds."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def test_the_plan_comes_first_and_the_time_left_every_half_minute():
    clock, text = _Clock(), io.StringIO()
    bar = ProgressBar(Console(file=text, force_terminal=False, width=60), clock=clock)
    bar.set_params({"epochs": 2, "steps": 12})
    bar.on_train_begin()
    assert re.match(
        r"plan: 2 epochs of 12 batches; \d+\.\d GiB of memory in use\n", text.getvalue()
    )
    for epoch in range(2):
        bar.on_epoch_begin(epoch)
        for batch in range(12):
            # The first step takes longer, as it is traced.
            clock.now += 100 if (epoch, batch) == (0, 0) else 10
            bar.on_train_batch_end(batch, {"loss": 1.0, "examples": 8.0 * (batch + 1)})
        clock.now += 1000  # an evaluation
        bar.on_epoch_end(epoch, {"loss": 1.0, "examples": 96.0})
    bar.on_train_end()
    lines = text.getvalue().splitlines()[1:]
    # Ten steps are done of 24, two of them not timed: 14 are left.
    assert "plan: about 96 examples an epoch; about 2:20 left at 10 s a batch" in lines
    left = [re.search(r"(\d+) of 12 batches.* (\d+):(\d\d) left", line) for line in lines]
    found = [(int(m[1]), 60 * int(m[2]) + int(m[3])) for m in left if m]
    # After 100 s the first step has no pace; then a line every three steps, in both epochs.
    assert found == [(4, 200), (7, 170), (10, 140), (3, 90), (6, 60), (9, 30), (12, 0)]
