"""Downloads MovieLens ml-latest-small from its publisher."""

from __future__ import annotations

import hashlib
import http.client
import io
import os
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

import pandas as pd

from tfrec_fusion.errors import InputError
from tfrec_fusion.files import new_folder
from tfrec_fusion.paths import local_path

BASE_URL = "https://files.grouplens.org/datasets/movielens"
NAME = "ml-latest-small"
# Of the archive of 2018-09-26 (978,202 bytes), as pinned by TensorFlow Datasets.
SHA256 = "696d65a3dfceac7c45750ad32df2c259311949efec81f0f144fdfb91ebc9e436"
_LARGEST = 64 << 20
_TIMEOUT = 60.0  # seconds without a byte
_ARTICLE_LAST = r"^([^(]*), (The|A|An|Le|La|Les|El|Los|Las|Il|Der|Die|Das)(?= \()"


def fetch_movielens(
    cache: str | os.PathLike, base_url: str = BASE_URL, sha256: str | None = SHA256
) -> Path:
    """Downloads ml-latest-small once and converts it; returns the folder of the two tables.

    The folder `cache/ml-latest-small` is written atomically; later calls use it without a network.
    It holds `interactions.parquet` (user_id, item_id: string; rating: float64, .5 to 5; timestamp:
    int64 unix seconds; in order of time), `items.parquet` (item_id, title, genres joined by "|":
    string; year: Int16; text: string, e.g. "Heat (1995). Genres: Action, Crime.") and
    `LICENSE.txt`, the publisher's terms: research only, no commercial use. The users' tags are left
    out, because they reveal what was watched later.

    Args:
      cache: a folder, created if missing.
      base_url: URL of the folder of `ml-latest-small.zip`.
      sha256: expected hash of the archive in hex; None skips the check.

    Raises:
      InputError: the download fails, the archive is not the expected one, or the cache cannot be
        written.

    Source: Harper and Konstan, "The MovieLens Datasets: History and Context", TiiS 2015.

    Example:
      folder = fetch_movielens("~/.cache/tfrec-fusion")
      movies = Catalogue.from_parquet(folder / "items.parquet")
    """
    folder = local_path(os.path.expanduser(cache), "movielens") / NAME
    if folder.is_dir():
        return folder
    url = f"{base_url.rstrip('/')}/{NAME}.zip"
    archive = _download(url)
    found = hashlib.sha256(archive).hexdigest()
    if sha256 is not None and found != sha256:
        raise InputError(
            f"movielens: the checksum of the archive is wrong, so it is damaged or was changed; "
            f"try again later. Expected: sha256 {sha256}. Received: {found} from {url}"
        )
    items, interactions, terms = _read(archive, url)
    try:
        _put(folder, items, interactions, terms)
    except OSError as error:
        raise InputError(
            f"movielens: the cache cannot be written ({error.strerror}); choose another folder. "
            f"Received: {folder.parent}"
        ) from None
    return folder


def _download(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT) as response:
            content = response.read(_LARGEST + 1)
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        status = f"HTTP {error.code}: " if isinstance(error, urllib.error.HTTPError) else ""
        raise InputError(
            f"movielens: the download failed ({status}{reason}); check the network, or use your "
            f"own data. Received: {url}"
        ) from None
    if len(content) > _LARGEST:
        raise InputError(
            f"movielens: the archive is larger than {_LARGEST:,} bytes. Received: {url}"
        )
    return content


def _read(archive: bytes, url: str) -> tuple[pd.DataFrame, pd.DataFrame, bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as members:
            movies = pd.read_csv(
                io.BytesIO(members.read(f"{NAME}/movies.csv")), dtype=str, keep_default_na=False
            )
            ratings = pd.read_csv(
                io.BytesIO(members.read(f"{NAME}/ratings.csv")),
                dtype={"userId": str, "movieId": str, "rating": float, "timestamp": "int64"},
            )
            terms = members.read(f"{NAME}/README.txt")
        return _items(movies), _interactions(ratings), terms
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        reason = str(error.args[0]).splitlines()[0]
        raise InputError(
            f"movielens: the archive is not ml-latest-small ({reason}). Received: {url}"
        ) from None


def _items(movies: pd.DataFrame) -> pd.DataFrame:
    title = movies["title"].str.strip()
    # "American President, The (1995)" is a form for sorting; texts need the usual one.
    written = title.str.replace(r"\s+", " ", regex=True)
    written = written.str.replace(_ARTICLE_LAST, r"\2 \1", regex=True)
    genres = movies["genres"].mask(movies["genres"] == "(no genres listed)", "")
    listed = " Genres: " + genres.str.replace("|", ", ") + "."
    return pd.DataFrame(
        {
            "item_id": movies["movieId"],
            "title": title,
            "genres": genres,
            "year": pd.to_numeric(title.str.extract(r"\((\d{4})\)$")[0]).astype("Int16"),
            "text": written + "." + listed.where(genres != "", ""),
        }
    )


def _interactions(ratings: pd.DataFrame) -> pd.DataFrame:
    named = ratings.rename(columns={"userId": "user_id", "movieId": "item_id"})
    named = named[["user_id", "item_id", "rating", "timestamp"]]
    return named.sort_values("timestamp", kind="stable", ignore_index=True)


def _put(folder: Path, items: pd.DataFrame, interactions: pd.DataFrame, terms: bytes) -> None:
    with new_folder(folder) as new:
        items.to_parquet(new / "items.parquet", index=False)
        interactions.to_parquet(new / "interactions.parquet", index=False)
        (new / "LICENSE.txt").write_bytes(terms)
