import numpy as np
import pandas as pd

from tfrec_fusion.data.samples import sample_folder


def test_the_folder_holds_the_tables_and_aligned_vectors():
    folder = sample_folder()
    assert {path.name for path in folder.iterdir()} == {
        "README.md",
        "interactions.parquet",
        "items.parquet",
        "minilm_384.npy",
    }
    items = pd.read_parquet(folder / "items.parquet")
    assert len(np.load(folder / "minilm_384.npy", mmap_mode="r")) == len(items)
