"""Modules of a sentence-transformers model after its pooling."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tfrec_fusion._compat import optional
from tfrec_fusion.embeddings.encoders.model_files import ModelFiles
from tfrec_fusion.embeddings.hashing import file_hash
from tfrec_fusion.errors import InputError

_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_SENTENCE = "sentence_embedding"
_TANH = "torch.nn.modules.activation.Tanh"


@dataclass(frozen=True)
class Head:
    """A module after the pooling.

    Attributes:
      kind: "Dense", "LayerNorm" or "Normalize".
      path: folder of its files within the model.
      config: its `config.json`.
    """

    kind: str
    path: str
    config: Mapping

    def check(self) -> None:
        """Raises InputError if the module's config is not supported."""
        read = self.config.get("module_input_name", _SENTENCE)
        written = self.config.get("module_output_name") or read
        if (read, written) != (_SENTENCE, _SENTENCE):
            raise InputError(
                f"encoder: the module {self.path} reads {read!r} and writes {written!r}; only "
                f"modules that read and write {_SENTENCE!r} are supported; use CallableEncoder "
                f"with sentence-transformers' own encode. Received: {self.kind}"
            )
        if self.kind == "Dense":
            self._activation()

    def identity(self, files: ModelFiles) -> dict:
        """All that the module's output depends on, for the encoder's fingerprint."""
        found = {"kind": self.kind, **self.config}
        for name in () if self.kind == "Normalize" else _WEIGHTS:
            path = files.find(f"{self.path}/{name}")
            if path is not None:
                return {**found, "weights": file_hash(path)[:32]}
        return found

    def build(self, files: ModelFiles, dims: int, device: str) -> tuple[Callable, int]:
        """Builds the function of vectors ``[b, dims]`` float32; returns it and its output dims.

        Raises:
          InputError: no weights, or weights for other dims.
        """
        torch = optional("torch", extra="text")
        if self.kind == "Normalize":
            return torch.nn.functional.normalize, dims
        config = self.config
        expected = config["in_features"] if self.kind == "Dense" else config["dimension"]
        if expected != dims:
            raise InputError(
                f"encoder: the module {self.path} needs vectors of {expected} dims; use the "
                f"pooling that the model declares. Received: {dims} dims"
            )
        weights = self._weights(files, torch)
        if self.kind == "LayerNorm":
            layer = torch.nn.LayerNorm(dims)
            layer.load_state_dict(_part(weights, "norm"))
            return layer.eval().to(device), dims
        out = config["out_features"]
        linear = torch.nn.Linear(dims, out, bias="linear.bias" in weights)
        linear.load_state_dict(_part(weights, "linear"))
        linear, activation = linear.eval().to(device), self._activation()()
        if not config.get("use_residual"):
            return lambda vectors: activation(linear(vectors)), out
        beside = torch.nn.Identity()
        if out != dims:
            beside = torch.nn.Linear(dims, out, bias=False)
            beside.load_state_dict(_part(weights, "residual"))
            beside = beside.eval().to(device)
        return lambda vectors: activation(linear(vectors)) + beside(vectors), out

    def _activation(self):
        name = self.config.get("activation_function", _TANH)
        match = re.fullmatch(r"torch\.nn\.(?:modules\.\w+\.)?(\w+)", name)
        nn = optional("torch", extra="text").nn
        found = getattr(nn, match[1], None) if match else None
        if not (isinstance(found, type) and issubclass(found, nn.Module)):
            raise InputError(
                f"encoder: the activation of the module {self.path} is not a torch module; use "
                f"CallableEncoder with sentence-transformers' own encode. Received: {name!r}"
            )
        return found

    def _weights(self, files: ModelFiles, torch) -> dict:
        for name in _WEIGHTS:
            path = files.find(f"{self.path}/{name}")
            if path is None:
                continue
            if path.suffix == ".safetensors":
                found = optional("safetensors.torch", extra="text").load_file(path)
            else:
                found = torch.load(path, map_location="cpu", weights_only=True)
            return {key: value.float() for key, value in found.items()}
        raise InputError(
            f"encoder: the module {self.path} has none of {', '.join(_WEIGHTS)}; download the "
            f"model again. Received: {files.model!r}"
        )


def _part(weights: Mapping, name: str) -> dict:
    prefix = f"{name}."
    return {key[len(prefix) :]: value for key, value in weights.items() if key.startswith(prefix)}
