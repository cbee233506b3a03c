"""The files of a model: those of a folder, or of the Hugging Face hub."""

import json
import os
import re
from pathlib import Path

from tfrec_fusion._compat import optional
from tfrec_fusion.errors import InputError


class ModelFiles:
    """A model's files by their path within it.

    Args:
      model: a folder, or a name on the hub.

    Attributes:
      unsure: files of which nobody can tell, for want of a network, whether the hub has them.
    """

    def __init__(self, model: str):
        self.model = model
        self.unsure: list[str] = []

    @property
    def is_folder(self) -> bool:
        """Whether the model is a folder."""
        return os.path.isdir(self.model)

    def find(self, name: str) -> Path | None:
        """Where a file lies on this machine, downloaded if need be; None where there is none."""
        if self.is_folder:
            path = Path(self.model, name)
            return path if path.is_file() else None
        hub = optional("huggingface_hub", extra="text")
        errors = optional("huggingface_hub.errors", extra="text")
        try:
            return Path(hub.hf_hub_download(self.model, name))
        except errors.LocalEntryNotFoundError:
            self.unsure.append(name)
        except (errors.EntryNotFoundError, errors.RepositoryNotFoundError):
            pass
        except errors.HFValidationError:
            pass  # transformers says it when it looks for the weights
        return None

    def commit(self, name: str) -> str | None:
        """The hub's commit that a file is of; None where there is no such file."""
        path = self.find(name)
        match = path and re.search(r"/snapshots/([0-9a-f]{40})/", path.as_posix())
        return match[1] if match else None

    def json(self, name: str):
        """What a JSON file holds; {} where there is none.

        Raises:
          InputError: it is not JSON.
        """
        path = self.find(name)
        if path is None:
            return {}
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError(
                f"encoder: {name} of {self.model} is not JSON: {error}. Received: {str(path)!r}"
            ) from None
