"""A Keras callback that shows the training's progress in the terminal."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tfrec_fusion._compat import keras


class ProgressBar(keras.callbacks.Callback):
    """Shows a bar per epoch with loss, examples/s and time left, and a line per finished epoch.

    If the output is not a terminal, it prints only the lines. Examples/s come from the model's
    metric `examples`, a count over the epoch; models without it show none.

    Args:
      console: where to print; standard output by default.
      label: text before the number of the epoch.
    """

    def __init__(self, console: Console | None = None, label: str = "epoch"):
        super().__init__()
        self.console = console or Console()
        self.label = label
        self._bar = None

    def on_epoch_begin(self, epoch, logs=None):
        self._started = time.perf_counter()
        self._name = f"{self.label} {epoch + 1}/{self.params['epochs']}"
        if self.console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[state]}"),
                TimeRemainingColumn(),
                console=self.console,
                transient=True,
            )
            self._task = self._bar.add_task(self._name, total=self.params["steps"], state="")
            self._bar.start()

    def on_train_batch_end(self, batch, logs=None):
        if self._bar is not None:
            self._bar.update(self._task, completed=batch + 1, state=self._state(logs or {}))

    def on_epoch_end(self, epoch, logs=None):
        self._stop()
        seconds = time.perf_counter() - self._started
        line = f"{self._name}: {self._state(logs or {})}, {seconds:.1f} s"
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def on_train_end(self, logs=None):
        self._stop()

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _state(self, logs) -> str:
        parts = []
        if "loss" in logs:
            parts.append(f"loss {logs['loss']:.3f}")
        if "examples" in logs:
            rate = logs["examples"] / max(time.perf_counter() - self._started, 1e-9)
            parts.append(f"{rate:,.0f} examples/s")
        return ", ".join(parts)
