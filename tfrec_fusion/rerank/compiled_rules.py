"""Compiles business rules into arrays over the catalogue."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tfrec_fusion.data import Catalogue
from tfrec_fusion.errors import InputError
from tfrec_fusion.rerank.attributes import Attribute
from tfrec_fusion.rerank.rules import Rules

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CompiledCap:
    """A cap of `at_most` items per code; `codes` is `[N]` int32, `count` for uncapped items."""

    codes: np.ndarray
    count: int
    at_most: int


@dataclass(frozen=True)
class CompiledRules:
    """`Rules` as arrays over the N items, for the graph.

    Attributes:
      count: N.
      boosts: `[N]` float32 to add to the scores; None without boosts.
      blocked: `[N]` bool; None without blocks.
      pin_rows: `[P]` int32 item rows of the pins, without blocked items.
      pin_positions: `[P]` int32, counted from 0, ascending.
      caps: one per rule.
    """

    count: int
    boosts: np.ndarray | None
    blocked: np.ndarray | None
    pin_rows: np.ndarray
    pin_positions: np.ndarray
    caps: tuple[CompiledCap, ...]

    @classmethod
    def of(cls, rules: Rules, catalogue: Catalogue, source: str = "rules") -> CompiledRules:
        """Compiles rules for a catalogue.

        A log line warns of a `match` that no item has.

        Args:
          rules: the rules.
          catalogue: the items.
          source: name of the rules in errors.

        Raises:
          InputError: the catalogue lacks an item or a column, a value has another type than its
            column, two pins share an item or a position, or pins exceed a cap.
        """
        boosts = blocked = None
        if rules.boost:
            boosts = np.zeros(len(catalogue), np.float32)
            for place, boost in enumerate(rules.boost):
                chosen = _chosen(boost, catalogue, f"{source}: boost.{place}")
                boosts[chosen] += np.log(boost.factor)
        if rules.block:
            blocked = np.zeros(len(catalogue), bool)
            for place, block in enumerate(rules.block):
                blocked |= _chosen(block, catalogue, f"{source}: block.{place}")
        rows, positions = _pins(rules, catalogue, blocked, source)
        caps = tuple(
            _cap(cap, catalogue, rows, f"{source}: cap.{place}")
            for place, cap in enumerate(rules.cap)
        )
        return cls(len(catalogue), boosts, blocked, rows, positions, caps)


def _chosen(rule, catalogue: Catalogue, where: str) -> np.ndarray:
    """`[N]` bool: the items that a rule applies to."""
    if rule.item is not None:
        return np.arange(len(catalogue)) == _row(rule.item, catalogue, f"{where}.item")
    chosen = np.ones(len(catalogue), bool)
    for column, value in rule.match.items():
        attribute = _attribute(catalogue, column, f"{where}.match")
        chosen &= _matches(attribute, value, f"{where}.match.{column}")
    if not chosen.any():
        _log.warning("%s.match: no item has %s", where, rule.match)
    return chosen


def _row(item: str, catalogue: Catalogue, where: str) -> int:
    row = int(catalogue.vocabulary.rows([item])[0])
    if row < 0:
        raise InputError(f"{where}: the catalogue has no such item; correct it. Received: {item!r}")
    return row


def _attribute(catalogue: Catalogue, column: str, where: str) -> Attribute:
    if column not in catalogue.frame:
        raise InputError(
            f"{where}: the catalogue has no column {column!r}; it has "
            f"{', '.join(catalogue.frame.columns)}"
        )
    return Attribute.of(catalogue, column)


def _matches(attribute: Attribute, value, where: str) -> np.ndarray:
    values = value if isinstance(value, list) else [value]
    takes = {"text": "texts; put them in quotes", "number": "numbers", "flag": "true or false"}
    kinds = {_kind(one) for one in values}
    if not kinds <= ({"number", "range"} if attribute.kind == "number" else {attribute.kind}):
        raise InputError(f"{where}: the column takes {takes[attribute.kind]}. Received: {value!r}")
    if attribute.kind == "text":
        wanted = np.append(np.isin(np.array(attribute.texts, object), values), False)
        return np.asarray(wanted[attribute.data].any(0))
    if attribute.kind == "flag":
        return attribute.data == value
    if isinstance(value, Mapping):
        lowest, highest = value.get("min", -np.inf), value.get("max", np.inf)
        return (attribute.data >= np.float32(lowest)) & (attribute.data <= np.float32(highest))
    return np.isin(attribute.data, np.array(values, np.float32))


def _kind(value) -> str:
    if isinstance(value, Mapping):
        return "range"
    return "flag" if isinstance(value, bool) else "text" if isinstance(value, str) else "number"


def _pins(rules: Rules, catalogue: Catalogue, blocked, source: str):
    """Item rows and positions (from 0) of the pins, by position; without blocked items."""
    taken: dict[object, int] = {}
    pins = []
    for place, pin in enumerate(rules.pin):
        row = _row(pin.item, catalogue, f"{source}: pin.{place}.item")
        for key, value in (("item", pin.item), ("position", pin.position)):
            if (key, value) in taken:
                raise InputError(
                    f"{source}: pin.{place}.{key}: pin.{taken[key, value]} already has it; keep "
                    f"one. Received: {value!r}"
                )
            taken[key, value] = place
        if blocked is None or not blocked[row]:
            pins.append((pin.position - 1, row))
    found = np.array(sorted(pins), np.int32).reshape(-1, 2)
    return found[:, 1], found[:, 0]


def _cap(cap, catalogue: Catalogue, pinned: np.ndarray, where: str) -> CompiledCap:
    attribute = _attribute(catalogue, cap.by, f"{where}.by")
    if attribute.kind == "text" and len(attribute.data) > 1:
        raise InputError(
            f"{where}.by: must be a column with one value per item. Received: {cap.by!r}, which "
            "holds lists"
        )
    if attribute.kind == "text":
        codes, count = attribute.data[0], len(attribute.texts)
    else:
        codes, values = pd.factorize(attribute.data)  # a missing number is -1
        count = len(values)
        codes = np.where(codes < 0, count, codes).astype(np.int32)
    numbers = np.bincount(codes[pinned], minlength=count + 1)[:count]
    if (numbers > cap.at_most).any():
        raise InputError(
            f"{where}.at_most: {numbers.max()} pinned items share a value of {cap.by!r}; pin fewer "
            f"or raise the cap. Received: {cap.at_most}"
        )
    return CompiledCap(codes, count, cap.at_most)
