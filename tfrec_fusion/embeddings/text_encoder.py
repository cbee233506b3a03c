"""Texts to vectors with a transformer, once, before any training."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import numpy as np

from tfrec_fusion._compat import optional
from tfrec_fusion.errors import InputError

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
_MAX_TOKENS = 256


def encode_texts(
    texts: Sequence[str],
    model: str | os.PathLike = MINILM,
    *,
    batch_size: int = 64,
    progress: Callable[[int], None] | None = None,
) -> np.ndarray:
    """Mean-pooled vectors of length 1, `[n, dims]` float32; needs the extra `text`.

    Args:
      texts: `[n]` strings; the first 256 tokens of each count.
      model: a folder with a transformers model, or its name on the Hugging Face hub.
      batch_size: texts encoded at once, of about one length, so that little is padding.
      progress: called with the number of texts of each batch that is done.

    Raises:
      ImportError: the extra is not installed.
      InputError: there are no such weights, or no network to get them.

    Example:
      >>> encode_texts(["a red mug", "a lamp"]).shape  # doctest: +SKIP
      (2, 384)
    """
    torch = optional("torch", extra="text")
    transformers = optional("transformers", extra="text")
    name = os.fspath(model)
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(name)
        network = transformers.AutoModel.from_pretrained(name).float().eval()
    except (OSError, ValueError) as error:
        reason = str(error).strip().split("\n")[0]
        raise InputError(
            f"encoder: no weights could be loaded ({reason}); check the network, or give a folder "
            f"that holds them. Received: {name!r}"
        ) from None
    order = np.argsort([len(text) for text in texts], kind="stable")
    vectors = np.zeros((len(texts), network.config.hidden_size), np.float32)
    for start in range(0, len(texts), batch_size):
        rows = order[start : start + batch_size]
        batch = tokenizer(
            [texts[row] for row in rows],
            padding=True,
            truncation=True,
            max_length=_MAX_TOKENS,
            return_tensors="pt",
        )
        with torch.inference_mode():
            hidden = network(**batch).last_hidden_state
        mask = batch["attention_mask"].unsqueeze(-1).to(hidden.dtype)
        vectors[rows] = ((hidden * mask).sum(1) / mask.sum(1)).numpy()
        if progress is not None:
            progress(len(rows))
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
