"""The command line `tfrec-fusion`."""

from tfrec_fusion.cli._app import main

__all__ = ["main"]
