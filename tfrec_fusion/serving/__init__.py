"""From a trained model to answers: the exported SavedModel and who asks it."""

from tfrec_fusion._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "Client": "client.client",
        "Kit": "kit.options",
        "ParityLimits": "parity_limits",
        "ParityReport": "parity_report",
        "REPORT": "parity_report",
        "Recommender": "recommender",
        "ServedModel": "served_model",
        "export": "exporter",
        "export_litert": "litert_export",
        "export_onnx": "onnx_export",
        "label_versions": "kit.files",
        "refresh": "refreshing",
    },
)
