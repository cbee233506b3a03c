"""Steps that transform a store's raw vectors when they are read."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfrec_fusion.embeddings.pca import PCA
from tfrec_fusion.embeddings.truncation import Truncation
from tfrec_fusion.embeddings.whitening import Whitening
from tfrec_fusion.errors import InputError

KINDS = {step.kind: step for step in (Truncation, PCA, Whitening)}


@dataclass(frozen=True)
class RecordedStep:
    """A fitted step of a store.

    Attributes:
        step: a `Truncation`, `PCA` or `Whitening`.
        record: its part of the manifest: kind, config, file and, if the store fitted it, the number
            of rows it was fitted on and the hash of their ids.
    """

    step: Truncation | PCA | Whitening
    record: dict

    def save(self, folder: Path) -> None:
        self.step.save(folder / self.record["file"])


def check_step(step) -> None:
    """Raises InputError unless ``step`` is a step."""
    if not isinstance(step, tuple(KINDS.values())):
        raise InputError(
            f"step: must be a {', '.join(kind.__name__ for kind in KINDS.values())}. "
            f"Received: {type(step).__name__}"
        )


def read_steps(folder: Path, records, name: str) -> tuple[RecordedStep, ...]:
    """Reads the steps that a manifest records from their files."""
    steps = []
    for record in records:
        kind = KINDS.get(record.get("kind"))
        if kind is None or record.get("file") is None:
            raise InputError(
                f"vector store {name!r}: manifest.json, key 'steps': must be of the kinds "
                f"{', '.join(KINDS)}; upgrade tfrec-fusion or write the store again. "
                f"Received: {record.get('kind')!r}"
            )
        steps.append(RecordedStep(kind.load(folder / record["file"]), record))
    return tuple(steps)


def apply_steps(vectors: np.ndarray, steps) -> np.ndarray:
    """Applies all steps to raw vectors ``[n, d]``; returns ``[n, k]`` float32."""
    for recorded in steps if len(vectors) else ():
        vectors = recorded.step.transform(vectors)
    return vectors


def final_dims(dims: int, steps) -> int:
    """Output dims of `apply_steps`."""
    for recorded in steps:
        dims = recorded.step.width(dims)
    return dims
