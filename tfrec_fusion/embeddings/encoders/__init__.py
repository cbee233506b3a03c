"""Encoders that turn texts into vectors."""

from tfrec_fusion._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "CallableEncoder": "function",
        "Encoder": "base",
        "HuggingFaceEncoder": "huggingface",
        "LexicalEncoder": "lexical",
        "NGramEncoder": "ngrams",
        "OpenAIEncoder": "openai_endpoint",
        "StaticEncoder": "static",
        "make_encoder": "making",
    },
)
