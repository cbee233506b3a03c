"""A static encoder: the mean of fixed token vectors."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from tfrec_fusion._compat import optional
from tfrec_fusion.embeddings.encoders.base import Batch, Encoder, longest_first, unit_rows
from tfrec_fusion.embeddings.hashing import file_hash
from tfrec_fusion.embeddings.term_table import TermTable
from tfrec_fusion.embeddings.tokenizer import Tokenizer


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

    def term_table(self, texts: Iterable[str]) -> TermTable:
        """The words of some texts with the sums of their tokens' vectors, for exports.

        A text's vector from it is that of the text in lower case without punctuation, its words
        joined by spaces. Other words have no vector.
        """
        tokenizer = Tokenizer(fold=False)
        words = sorted({word for text in texts for word in tokenizer.words(text)})
        tokens = self._model.tokenize(words)
        counts = np.array([sum(one.attention_mask) for one in tokens], np.float32)
        means = self._model.embed(words, norm=False)
        return TermTable(words, means * counts[:, None], pairs=False, damped=False, fold=False)

    def identity(self) -> dict:
        return {"kind": self.name, "weights": self.revision}

    def stream(self, texts: Sequence[str]) -> Iterator[Batch]:
        order = longest_first(texts)
        for start in range(0, len(order), self._batch):
            rows = order[start : start + self._batch]
            vectors = self._model.embed([texts[row] for row in rows], norm=False)
            yield rows, unit_rows(vectors)
