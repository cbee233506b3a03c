"""Quality, size and latency of a lower-precision export, compared with float32."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from tfrec_fusion.config import read_json
from tfrec_fusion.errors import InputError
from tfrec_fusion.export.parity_limits import ParityLimits

REPORT = "parity.json"


@dataclass(frozen=True)
class ParityReport:
    """How a lower-precision export ("smaller") differs from float32 in answers, size and latency.

    Attributes:
      precision: precision of the smaller export.
      users: number of users compared.
      score_error: "mean" and "max" absolute difference of the scores of the same items, and
        "spread", the standard deviation of these scores in float32.
      overlap: "10" and "100": mean share of float32's top 10 (100) that is in the smaller one's.
      ndcg_10: "float32" and "smaller": mean NDCG@10 of held-out items, and "users" that have some;
        None without held-out events.
      bytes: "float32" and "smaller": size of the version without card and warm-up requests.
      p50_ms: batch size -> "float32" and "smaller": median milliseconds of `serving_default`.
    """

    precision: str
    users: int
    score_error: dict[str, float]
    overlap: dict[str, float]
    ndcg_10: dict[str, float] | None
    bytes: dict[str, int]
    p50_ms: dict[str, dict[str, float]]

    def to_dict(self) -> dict:
        """The report as `parity.json` and the model card hold it."""
        return asdict(self)

    def save(self, path: Path) -> None:
        """Writes `to_dict` as JSON."""
        path.write_text(json.dumps(self.to_dict(), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> ParityReport:
        """Reads what `save` wrote."""
        return cls(**read_json(path, "export"))

    @property
    def ndcg_loss(self) -> float:
        """Share of float32's NDCG@10 that is lost; 0 if unknown."""
        if self.ndcg_10 is None or not self.ndcg_10["float32"]:
            return 0.0
        return 1 - self.ndcg_10["smaller"] / self.ndcg_10["float32"]

    def check(self, limits: ParityLimits) -> None:
        """Checks the report against the limits.

        Raises:
          InputError: a figure exceeds its limit.
        """
        overlap_10, overlap_100 = self.overlap["10"], self.overlap["100"]
        error, most = self.score_error["mean"], limits.score_error
        for name, figure, limit, wrong in (
            ("overlap_10", overlap_10, limits.overlap_10, overlap_10 < limits.overlap_10),
            ("overlap_100", overlap_100, limits.overlap_100, overlap_100 < limits.overlap_100),
            ("ndcg_loss", self.ndcg_loss, limits.ndcg_loss, self.ndcg_loss > limits.ndcg_loss),
            ("score_error", error, most, most is not None and error > most),
        ):
            if wrong:
                raise InputError(
                    f"export: precision {self.precision!r} is too far from float32: {name} is "
                    f"{figure:.4g} and its limit {limit:g}; use another precision, or relax the "
                    "limit if the smaller size is worth it"
                )

    def rows(self) -> list[tuple[str, str, str]]:
        """Rows of a table: (figure, float32, smaller) as texts."""
        overlap, error = self.overlap, self.score_error
        found = [
            ("bytes", f"{self.bytes['float32']:,}", f"{self.bytes['smaller']:,}"),
            ("overlap of the first 10", "1", f"{overlap['10']:.4f}"),
            ("overlap of the first 100", "1", f"{overlap['100']:.4f}"),
            ("score error, mean", f"spread {error['spread']:.4f}", f"{error['mean']:.5f}"),
            ("score error, largest", "", f"{error['max']:.5f}"),
        ]
        if self.ndcg_10 is not None:
            before, after = self.ndcg_10["float32"], self.ndcg_10["smaller"]
            found.append(("N@10 of held-out items", f"{before:.4f}", f"{after:.4f}"))
        for batch, times in self.p50_ms.items():
            name = f"p50 of {batch} user{'s' * (batch != '1')}, ms"
            found.append((name, f"{times['float32']:.2f}", f"{times['smaller']:.2f}"))
        return found
