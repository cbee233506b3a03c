"""Top-k retrieval of items by dot product, exact and approximate."""

from tfrec_fusion._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {"ApproximateTopK": "approximate", "ExactTopK": "top_k", "exact_top_k": "top_k"},
)
