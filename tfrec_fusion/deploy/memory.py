"""How much memory a server gets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tfrec_fusion.config import read_json
from tfrec_fusion.deploy.deployment_config import DeploymentConfig
from tfrec_fusion.export.model_card import CARD
from tfrec_fusion.export.saving import size_of

_PROCESS = 1 << 30
# Of one user and item: the scores as they come, with what is masked, and in groups; and an answer's
# score with its id, a text of up to 22 bytes.
_SCORES, _ANSWER = 3 * 4, 4 + 24


@dataclass(frozen=True)
class Footprint:
    """What the versions of a server take.

    Attributes:
      loaded: bytes of all versions of its config, of all models.
      largest: bytes of the largest of them.
      items: of the largest catalogue.
    """

    loaded: int
    largest: int
    items: int

    @classmethod
    def of(cls, versions: Iterable[Path]) -> Footprint:
        """Of the folders of versions; those that are gone count nothing."""
        found = [(size_of(folder), _items(folder)) for folder in versions if folder.is_dir()]
        sizes, items = zip(*found, strict=True) if found else ((0,), (0,))
        return cls(sum(sizes), max(sizes), max(items))


def memory_mib(deployment: DeploymentConfig, footprint: Footprint) -> int:
    """MiB of a server: `deployment.memory_gib`, or the sum of

    - 1 GiB for the process;
    - all versions that are loaded at once: those of the config, stable, canary and new ones;
    - three times the largest: the next version beside them and what loading it takes;
    - the scores of `deployment.runs` runs of as many rows as are merged, 12 bytes a row and item;
    - an answer of as many rows with all items, 28 bytes a row and item.
    """
    if deployment.memory_gib is not None:
        return round(deployment.memory_gib * 1024)
    pairs = deployment.batch_sizes[-1] * footprint.items
    answers = pairs * (deployment.runs * _SCORES + _ANSWER)
    return -(-(_PROCESS + footprint.loaded + 3 * footprint.largest + answers) // 2**20)


def _items(folder: Path) -> int:
    card = folder / CARD
    return read_json(card, "export").get("data", {}).get("items", 0) if card.is_file() else 0
