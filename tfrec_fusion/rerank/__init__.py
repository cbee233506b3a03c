"""What happens to a ranked list: filters and a shop's rules."""

from tfrec_fusion._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "Rules": "rules",
    },
)
