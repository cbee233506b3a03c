"""The files of a model: those of a folder, or of the Hugging Face hub."""

import json
import os
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

    def find(self, name: str) -> Path | None:
        """Where a file lies on this machine, downloaded if need be; None where there is none."""
        if os.path.isdir(self.model):
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
