"""One signature of an export: what it says of itself and what it computes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from tfrec_fusion._compat import tf
from tfrec_fusion.export.input_checks import checked_concrete, concrete
from tfrec_fusion.signature import Signature, Tensor


class ServedSignature(ABC):
    """A subclass is all there is to a signature; card, warm-up, clients and servers follow from it.

    Where inputs or outputs depend on the export, they are properties that read `self.served`.

    Args:
      served: the `ServedModel` or `ServedRanker` that it is a signature of.
      merged: whether requests that wait at the same moment may become one run.

    Attributes:
      name, does, inputs, outputs, features: see `Signature`.
      merges: whether `answer` looks at `merged`.

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
        """Whether the module has what the signature answers from."""
        return True

    @abstractmethod
    def answer(self, /, **inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """Output name -> tensor, from tensors by input name."""

    @property
    def described(self) -> Signature:
        """What it says of itself."""
        return Signature(self.name, self.does, self.inputs, self.outputs, self.features)

    @property
    def specs(self) -> dict[str, tf.TensorSpec]:
        """Input name -> its spec."""
        return {
            tensor.name: tf.TensorSpec(tensor.sizes, tensor.dtype, tensor.name)
            for tensor in self.inputs
        }

    def concrete(self, checked: bool) -> tf.types.experimental.ConcreteFunction:
        """The function by input names.

        Args:
          checked: whether it refuses requests whose shapes do not fit.
        """
        make: Callable = checked_concrete if checked else concrete
        specs = self.specs
        return make(lambda **inputs: self._function(*(inputs[name] for name in specs)), specs)

    def _positional(self, *values):
        return self.answer(**dict(zip(self.specs, values, strict=True)))
