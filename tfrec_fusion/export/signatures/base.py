"""The base class of a signature of an export: its description and its computation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from tfrec_fusion._compat import tf
from tfrec_fusion.export.input_checks import checked_concrete, concrete
from tfrec_fusion.signature import Signature, Tensor


class ServedSignature(ABC):
    """Base class of a signature; card, warm-up, clients and servers are derived from a subclass.

    If inputs or outputs depend on the export, make them properties that read `self.served`.

    Args:
      served: the `ServedModel` or `ServedRanker` that has the signature.
      merged: whether concurrent requests may be merged into one run.

    Attributes:
      name, does, inputs, outputs, features: see `Signature`.
      merges: whether `answer` uses `merged`.

    Example:
      >>> class Norm(ServedSignature):
      ...     name, does = "norm", "the length of the vectors of some items"
      ...     inputs = (Tensor("item_id", "string", "[B]", "item ids", kind="item"),)
      ...     outputs = (Tensor("norm", "float32", "[B]"),)
      ...
      ...     def answer(self, item_id):
      ...         return {"norm": tf.norm(self.served.item_vectors(item_id), axis=1)}
      >>> export(model, events, "saved_models/shop", signatures=[Norm])  # slow  # doctest: +SKIP
    """

    name: str
    does: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    features: tuple[Tensor, ...] = ()
    merges = False

    def __init__(self, served: Any, merged: bool = False):
        self.served, self.merged = served, merged
        self._function = tf.function(
            self._positional, input_signature=list(self.specs.values()), autograph=False
        )

    @classmethod
    def is_offered(cls, served: Any) -> bool:
        """Whether the module can answer this signature."""
        return True

    @abstractmethod
    def answer(self, /, **inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """Computes the outputs: input name -> tensor in, output name -> tensor out."""

    @property
    def described(self) -> Signature:
        """Name, description, inputs and outputs as a `Signature`."""
        return Signature(self.name, self.does, self.inputs, self.outputs, self.features)

    @property
    def specs(self) -> dict[str, tf.TensorSpec]:
        """Input name -> its spec."""
        return {
            tensor.name: tf.TensorSpec(tensor.sizes, tensor.dtype, tensor.name)
            for tensor in self.inputs
        }

    def concrete(self, checked: bool) -> tf.types.experimental.ConcreteFunction:
        """The concrete function, called with inputs by name.

        Args:
          checked: whether it raises an error for inputs of wrong shapes.
        """
        make: Callable = checked_concrete if checked else concrete
        specs = self.specs
        return make(lambda **inputs: self._function(*(inputs[name] for name in specs)), specs)

    def _positional(self, *values):
        return self.answer(**dict(zip(self.specs, values, strict=True)))
