"""A static encoder: the mean of fixed token vectors."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from tfrec_fusion._compat import optional
from tfrec_fusion.embeddings.encoders.base import Batch, Encoder, longest_first, unit_rows
from tfrec_fusion.embeddings.hashing import file_hash


class StaticEncoder(Encoder):
    """WordLlama: the mean of 256-dim token vectors distilled from LLMs, scaled to length 1.

    It encodes thousands of texts per second without torch, and its weights come with the package.
    Use it for a first result, for very many texts, or where no transformer can run. Needs the extra
    `static`.

    Source: WordLlama (dleemiller/WordLlama), configuration l2_supercat, 256 dims, trained for
    Matryoshka truncation.

    Example:
      >>> StaticEncoder().encode(["a red mug"]).shape
      (1, 256)
    """

    name = "wordllama"
    pooling = "mean"
    _dims = 256

    def __init__(self, batch_texts: int = 2048):
        """
        Args:
          batch_texts: texts encoded and written to disk at once.

        Raises:
          ImportError: the extra is not installed.
        """
        package = optional("wordllama", extra="static")
        folder = Path(str(package.__file__)).parent
        self.revision = file_hash(folder / "weights" / f"l2_supercat_{self._dims}.safetensors")[:32]
        self._model = package.WordLlama.load(
            dim=self._dims, cache_dir=folder, disable_download=True
        )
        self._batch = batch_texts

    def identity(self) -> dict:
        return {"kind": self.name, "weights": self.revision}

    def stream(self, texts: Sequence[str]) -> Iterator[Batch]:
        order = longest_first(texts)
        for start in range(0, len(order), self._batch):
            rows = order[start : start + self._batch]
            vectors = self._model.embed([texts[row] for row in rows], norm=False)
            yield rows, unit_rows(vectors)
