"""Metrics computed from labels and scores alone."""

from tfrec_fusion._lazy import attach

__getattr__, __dir__, __all__ = attach(__name__, {"gauc": "grouped_auc"})
