"""From text to vectors: the store on disk, alignment to a catalogue, whitening, spectral fusion."""

from tfrec_fusion._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "AlignedVectors": "aligned",
        "PCA": "pca",
        "SpectralFusion": "spectral",
        "SpectralVectors": "spectral_vectors",
        "Truncation": "truncation",
        "VectorStore": "store",
        "Whitening": "whitening",
        "encode_texts": "text_encoder",
        "open_vectors": "sources",
        "text_hash": "hashing",
    },
)
