"""Warning and alert limits of the figures."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from tfrec_fusion.errors import InputError

# figure -> (warns above, alerts above); None means never
_DEFAULTS: dict[str, tuple[float | None, float | None]] = {
    "unknown_users": (0.2, 0.5),
    "unknown_items": (0.02, 0.1),
    "cold_requests": (0.2, 0.5),
    "empty_answers": (0.01, 0.05),
    "bad_scores": (0.0, 0.0),
    "score_psi": (0.1, 0.25),
    "score_ks": (0.1, 0.2),
    "score_shift": (0.25, 0.5),
    "best_score_psi": (0.1, 0.25),
    "best_score_ks": (0.1, 0.2),
    "best_score_shift": (0.25, 0.5),
    "history_psi": (0.1, 0.25),
    "history_popularity_psi": (0.1, 0.25),
    "answered_popularity_psi": (0.1, 0.25),
    "feature_psi": (0.1, 0.25),
    "coverage": (None, None),
    "gini": (None, None),
    "requests_per_second": (None, None),
}
# These figures warn and alert below their limits.
_BELOW = ("coverage", "requests_per_second")
_FEATURE = "feature_psi"


class Limits:
    """Warning and alert limits of all figures.

    Args:
      limits: figure -> alert limit or (warning, alert) limits. A figure alerts above its limit,
        `coverage` and `requests_per_second` below it. With an alert limit alone the default
        warning limit stays if it is reached first; else the figure warns at the alert limit.
        `feature_psi` applies to all features, `feature_psi.<column>` to one.

    Raises:
      InputError: an unknown figure, or limits that are not numbers or in the wrong order.

    Example:
      >>> limits = Limits({"unknown_users": 0.6, "feature_psi.hour": (0.2, 0.4)})
      >>> limits.state("unknown_users", 0.55)
      'warn'
    """

    def __init__(self, limits: Mapping[str, float | tuple[float, float]] | None = None):
        self._limits = dict(_DEFAULTS)
        for name, value in (limits or {}).items():
            self._limits[name] = self._checked(name, value)

    @classmethod
    def parse(cls, texts: Iterable[str]) -> Limits:
        """Parses texts like "score_psi=0.3" and "score_psi=0.15:0.3"."""
        found = {}
        for text in texts:
            name, _, value = text.partition("=")
            try:
                numbers = tuple(float(part) for part in value.split(":"))
            except ValueError:
                numbers = ()
            if len(numbers) not in (1, 2):
                raise InputError(
                    "--limit: must be NAME=ALERT or NAME=WARN:ALERT, as in score_psi=0.1:0.25. "
                    f"Received: {text}"
                )
            if name in found:
                raise InputError(f"--limit: {name} is given twice; keep one. Received: {text}")
            found[name] = numbers
        return cls(found)

    def _checked(self, name: str, value) -> tuple[float | None, float]:
        kind, _, column = name.partition(".")
        if kind not in _DEFAULTS or (column and kind != _FEATURE):
            raise InputError(
                f"monitor: limits: unknown figure {name!r}; use one of {', '.join(_DEFAULTS)} or "
                f"{_FEATURE}.<column>"
            )
        pair = tuple(value) if isinstance(value, tuple | list) else (value,)
        if len(pair) not in (1, 2) or not all(_is_number(number) for number in pair):
            raise InputError(
                f"monitor: limits: {name} must be a number or a pair of numbers. "
                f"Received: {value!r}"
            )
        alert = float(pair[-1])
        warn = pair[0] if len(pair) == 2 else _DEFAULTS[kind][0]
        late = warn is not None and (warn < alert if kind in _BELOW else warn > alert)
        if late and len(pair) == 2:
            raise InputError(
                f"monitor: limits: {name} must warn before it alerts. Received: {value!r}"
            )
        return (alert if late else warn), alert

    def of(self, name: str) -> tuple[float | None, float | None]:
        """The (warning, alert) limits of a figure."""
        kind = name.partition(".")[0]
        return self._limits.get(name, self._limits[kind])

    def state(self, name: str, value: float) -> str:
        """State of a value: "ok", "warn" or "alert"; shifts are compared by absolute value."""
        warn, alert = self.of(name)
        sign = -1 if name in _BELOW else 1
        value = abs(value) if name.endswith("_shift") else value
        for state, limit in (("alert", alert), ("warn", warn)):
            if limit is not None and sign * value > sign * limit:
                return state
        return "ok"

    def features(self) -> list[str]:
        """The feature columns with limits of their own."""
        return [name.partition(".")[2] for name in self._limits if "." in name]


def _is_number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
