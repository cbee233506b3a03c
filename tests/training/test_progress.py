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
