"""Parses the paths of TF Serving's REST interface."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from tfrec_fusion.deploy.status import invalid

_VERSION = r"(?:(?:/versions/(?P<version>[0-9]+))|(?:/labels/(?P<label>[^/:]+)))?"
_PREDICT = re.compile(
    rf"(?i:/v1/models/(?P<name>[^/:]+){_VERSION}:(?P<method>classify|regress|predict))"
)
_STATUS = re.compile(rf"(?i:/v1/models(?:/(?P<name>[^/:]+))?{_VERSION}(?:/(?P<method>metadata))?)")
_MAX_VERSION = 2**63 - 1
# Checked before int(), which refuses thousands of digits.
_DIGITS = re.compile(r"[0-9]{1,19}")


@dataclass(frozen=True)
class Target:
    """What a path addresses: a model, its version or label if any, and a method.

    Attributes:
      name: name of the model; "" without one.
      version, label: as in the path, or None.
      method: "predict", "classify", "regress", "metadata", or "" for the status.
    """

    name: str
    version: int | None
    label: str | None
    method: str

    @classmethod
    def of(cls, verb: str, path: str) -> Target:
        """Parses a percent-encoded path without its query.

        Raises:
          StatusError: INVALID_ARGUMENT; the path is unknown, or does not allow this HTTP method.

        Example:
          >>> Target.of("POST", "/v1/models/shop/labels/stable:predict")
          Target(name='shop', version=None, label='stable', method='predict')
        """
        found = None
        if verb == "POST":
            found = _PREDICT.fullmatch(path)
        elif verb == "GET":
            found = _STATUS.fullmatch(path)
        if found is None:
            raise invalid(f"Malformed request: {verb} {path}")
        version, label = found["version"], found["label"]
        return cls(
            _decoded(found["name"] or ""),
            None if version is None else version_number(version),
            None if label is None else _decoded(label),
            (found["method"] or "").lower(),
        )


def version_number(text: str) -> int:
    """Parses the version number in a path.

    Raises:
      StatusError: INVALID_ARGUMENT; not digits only, or above int64.
    """
    digits = text.lstrip("0") or "0"
    if not _DIGITS.fullmatch(digits) or int(digits) > _MAX_VERSION:
        raise invalid(f"Failed to convert version: {text:.40} to numeric.")
    return int(digits)


def _decoded(text: str) -> str:
    return unquote_to_bytes(text).decode("utf-8", "replace")
