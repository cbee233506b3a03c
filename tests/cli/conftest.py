import pytest

from tfrec_fusion.cli import main


@pytest.fixture(scope="session")
def arguments(small_shop):
    """The arguments of `train` that name the small shop's files."""
    return [
        "--interactions",
        str(small_shop / "interactions.parquet"),
        "--items",
        str(small_shop / "items.parquet"),
        "--vectors",
        str(small_shop / "text.npy"),
    ]


@pytest.fixture(scope="session")
def small_config(tmp_path_factory):
    """A config file of a small model."""
    path = tmp_path_factory.mktemp("config") / "small.yaml"
    path.write_text("model: {dim: 8, trend_hidden: 4}\nbatch_size: 16\nepochs: 1\n")
    return path


@pytest.fixture(scope="session")
def trained(arguments, small_config, tmp_path_factory):
    """A run's folder, of which an export is in `export` beside it."""
    folder = tmp_path_factory.mktemp("trained")
    options = ["--config", str(small_config)]
    assert main(["train", *arguments, *options, "--out", str(folder / "run")]) == 0
    assert main(["export", str(folder / "run"), "--to", str(folder / "export")]) == 0
    return folder / "run"
