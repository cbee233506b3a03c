"""Downloads and encodes MovieLens for the quickstart."""

from __future__ import annotations

import os
from pathlib import Path

from rich.console import Console

_MINILM = "sentence-transformers/all-MiniLM-L6-v2"


def movielens(console: Console) -> tuple[Path, dict[str, Path]]:
    """Returns the folder of MovieLens's tables and the store of its encoded texts.

    Both lie in the user's cache; what is missing is downloaded or encoded first.

    Raises:
      ImportError: the extra `text` is not installed.
      InputError: the data or the encoder's weights are missing and cannot be downloaded.
    """
    from tfrec_fusion._compat import optional
    from tfrec_fusion.data import Catalogue, fetch_movielens
    from tfrec_fusion.embeddings import HuggingFaceEncoder, encode

    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "tfrec-fusion"
    store = cache / "ml-latest-small-minilm"
    encoded = (store / "manifest.json").is_file()
    if not encoded:
        # Fail before the download if the texts cannot be encoded afterwards.
        for module in ("torch", "transformers"):
            optional(module, extra="text")
    folder = fetch_movielens(cache)
    if not encoded:
        movies = Catalogue.from_parquet(folder / "items.parquet")
        encode(movies.frame, HuggingFaceEncoder(_MINILM, max_length=256), store, progress=console)
    return folder, {"text": store}
