"""Text to vectors: encoders, vector stores on disk, alignment, whitening, spectral fusion."""

from tfrec_fusion._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "AlignedVectors": "aligned",
        "CallableEncoder": "encoders",
        "Encoded": "encoding",
        "Encoder": "encoders",
        "HuggingFaceEncoder": "encoders",
        "OpenAIEncoder": "encoders",
        "PCA": "pca",
        "SemanticIds": "semantic_ids",
        "SpectralFactors": "spectral_factors",
        "SpectralFusion": "spectral",
        "SpectralVectors": "spectral_vectors",
        "LexicalEncoder": "encoders",
        "NGramEncoder": "encoders",
        "StaticEncoder": "encoders",
        "TermTable": "term_table",
        "TextTemplate": "templates",
        "Tokenizer": "tokenizer",
        "Truncation": "truncation",
        "VectorStore": "store",
        "Whitening": "whitening",
        "encode": "encoding",
        "make_encoder": "encoders",
        "open_vectors": "sources",
        "text_hash": "hashing",
    },
)
