"""Computes the memory that a server needs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tfrec_fusion.config import read_json
from tfrec_fusion.deploy.deployment_config import DeploymentConfig
from tfrec_fusion.export.model_card import CARD
from tfrec_fusion.export.saving import size_of

_PROCESS = 1 << 30
# Bytes per user and item: three float32 copies of the scores (raw, masked, grouped); and, in an
# answer, the score and the id, a string of up to 22 bytes.
_SCORES, _ANSWER = 3 * 4, 4 + 24


@dataclass(frozen=True)
class Footprint:
    """Size of the versions that a server loads.

    Attributes:
      loaded: bytes of all versions in the server's config, over all models.
      largest: bytes of the largest version.
      items: number of items of the largest catalogue.
    """

    loaded: int
    largest: int
    items: int

    @classmethod
    def of(cls, versions: Iterable[Path]) -> Footprint:
        """The footprint of the folders of versions; missing folders count 0."""
        found = [(size_of(folder), _items(folder)) for folder in versions if folder.is_dir()]
        sizes, items = zip(*found, strict=True) if found else ((0,), (0,))
        return cls(sum(sizes), max(sizes), max(items))


def memory_mib(deployment: DeploymentConfig, footprint: Footprint) -> int:
    """Memory of a server in MiB: `deployment.memory_gib`, or the sum of

    - 1 GiB for the process;
    - all versions in the config: stable, canary and new ones;
    - three times the largest version, for one more version and the memory to load it;
    - the scores of `deployment.runs` batches of `batch_sizes[-1]` rows, 12 bytes per row and item;
    - one answer of `batch_sizes[-1]` rows with all items, 28 bytes per row and item.
    """
    if deployment.memory_gib is not None:
        return round(deployment.memory_gib * 1024)
    pairs = deployment.batch_sizes[-1] * footprint.items
    answers = pairs * (deployment.runs * _SCORES + _ANSWER)
    return -(-(_PROCESS + footprint.loaded + 3 * footprint.largest + answers) // 2**20)


def _items(folder: Path) -> int:
    card = folder / CARD
    return read_json(card, "export").get("data", {}).get("items", 0) if card.is_file() else 0
