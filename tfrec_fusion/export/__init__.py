"""Exports a trained model as a SavedModel whose requests hold string ids."""

import sys
from pathlib import Path
from types import ModuleType

from tfrec_fusion._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "BatchReport": "batch",
        "ParityLimits": "parity_limits",
        "ParityReport": "parity_report",
        "REPORT": "parity_report",
        "Recommender": "recommender",
        "SearchConfig": "search_config",
        "ServedModel": "served_model",
        "choose_search_weights": "search_weights",
        "export": "exporter",
        "export_litert": "litert_export",
        "export_onnx": "onnx_export",
        "refresh": "refreshing",
    },
    submodules=["reference"],
)


class _Export(ModuleType):
    """Makes the package `tff.export` callable, as it shares its name with the function."""

    def __call__(self, *args, **options) -> Path:
        from tfrec_fusion.export.exporter import export

        return export(*args, **options)


sys.modules[__name__].__class__ = _Export
