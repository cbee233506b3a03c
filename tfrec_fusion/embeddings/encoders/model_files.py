"""Finds the files of a model in a folder or on the Hugging Face hub."""

import json
import os
import re
from pathlib import Path

from tfrec_fusion._compat import optional
from tfrec_fusion.errors import InputError


class ModelFiles:
    """A model's files, by their path within the model.

    Args:
      model: a folder, or a name on the hub.

    Attributes:
      unsure: files that could not be looked up on the hub, as there is no network.
    """

    def __init__(self, model: str):
        self.model = model
        self.unsure: list[str] = []

    @property
    def is_folder(self) -> bool:
        """Whether the model is a folder."""
        return os.path.isdir(self.model)

    def find(self, name: str) -> Path | None:
        """Local path of a file, downloaded if needed; None if there is no such file."""
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
            pass  # transformers raises it when it looks for the weights
        return None

    def commit(self, name: str) -> str | None:
        """The hub commit of a file; None if there is no such file."""
        path = self.find(name)
        match = path and re.search(r"/snapshots/([0-9a-f]{40})/", path.as_posix())
        return match[1] if match else None

    def json(self, name: str):
        """Content of a JSON file; {} if there is no such file.

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
