"""The synthetic shop that comes with the package."""

from importlib.resources import files
from pathlib import Path


def sample_folder() -> Path:
    """The folder of the shipped sample: a synthetic shop with planted structure, under 4 MB.

    It holds `interactions.parquet` (user_id, item_id, timestamp in unix seconds; 60,000 rows),
    `items.parquet` (item_id, title, text, category, brand, price; 2,000 rows), `minilm_384.npy`
    (float16 [2000, 384], row i is item i) and a README.md that describes the planted structure.

    Example:
      >>> from tfrec_fusion.data import sample_folder
      >>> sorted(path.name for path in sample_folder().glob("*.parquet"))
      ['interactions.parquet', 'items.parquet']
    """
    return Path(str(files("tfrec_fusion.data") / "sample"))
