"""What a smaller export loses and saves."""

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
    """How far the answers of a smaller export are from those of one in float32, and its size.

    Attributes:
      precision: of the smaller one.
      users: how many were asked for.
      score_error: "mean" and "max" of the absolute difference of the scores of the same items, and
        "spread", the standard deviation of these scores in float32.
      overlap: "10" and "100": the mean share of float32's first so many that are among the first
        so many of the smaller one.
      ndcg_10: "float32" and "smaller": mean N@10 of held-out items, and "users" that have some;
        None without held-out events.
      bytes: "float32" and "smaller": of the version without card and warm-up requests.
      p50_ms: batch size -> "float32" and "smaller": milliseconds of `serving_default`.
    """

    precision: str
    users: int
    score_error: dict[str, float]
    overlap: dict[str, float]
    ndcg_10: dict[str, float] | None
    bytes: dict[str, int]
    p50_ms: dict[str, dict[str, float]]

    def to_dict(self) -> dict:
        """What `parity.json` and the model card hold."""
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
        """The share of float32's N@10 that is lost; 0 where it is not known."""
        if self.ndcg_10 is None or not self.ndcg_10["float32"]:
            return 0.0
        return 1 - self.ndcg_10["smaller"] / self.ndcg_10["float32"]

    def check(self, limits: ParityLimits) -> None:
        """Compares with the limits.

        Raises:
          InputError: names the figure, its limit and what to do.
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
                    f"{figure:.4g} and its limit {limit:g}; use another precision, or another "
                    "limit if the bytes are worth it"
                )

    def rows(self) -> list[tuple[str, str, str]]:
        """(figure, float32, smaller) as texts, for a table."""
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
