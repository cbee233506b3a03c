"""Checks the shapes of requests inside the graph, as TF Serving does not check them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tfrec_fusion._compat import tf


def checked(inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """The inputs, after a check of each one's rank and that all have as many rows as the first.

    Other requests raise InvalidArgumentError, which names the input, before anything else runs.

    Args:
      inputs: name -> tensor of known rank, 1 or more. A session does not enforce these ranks.
    """
    names, values = list(inputs), list(inputs.values())
    # Hides the static shapes: from them, tracing would fold tf.shape and the graph optimizer would
    # fold the raw operations, and the check would always pass.
    unpromised = [
        tf.raw_ops.PlaceholderWithDefault(input=value, shape=tf.TensorShape(None))
        for value in values
    ]
    shapes = [tf.raw_ops.Shape(input=value) for value in unpromised]
    ranks = tf.stack([tf.raw_ops.Size(input=shape) for shape in shapes])
    rows = tf.stack([tf.concat([shape, [-1]], 0)[0] for shape in shapes])
    fits = (ranks == [value.shape.rank for value in values]) & (rows == rows[0])
    texts = [f"{names[0]} must have {_dimensions(values[0])}"]
    texts += [
        f"{name} must have {_dimensions(value)} and as many rows as {names[0]}"
        for name, value in zip(names[1:], values[1:], strict=True)
    ]
    first = tf.argmin(tf.cast(fits, tf.int32))
    text, rank, size = (tf.gather(of_all, first) for of_all in (texts, ranks, rows))
    told = [text, "Received dimensions:", rank, f"rows, and rows of {names[0]}:", size, rows[0]]
    check = tf.debugging.Assert(tf.reduce_all(fits), told)
    with tf.control_dependencies([check]):
        return {name: tf.identity(value) for name, value in inputs.items()}


def concrete(
    function: Callable, specs: Mapping[str, tf.TensorSpec]
) -> tf.types.experimental.ConcreteFunction:
    """The concrete function of `function(**inputs)` with inputs of these specs."""

    def by_name(**inputs):
        return function(**{name: inputs[name] for name in specs})

    return tf.function(by_name, autograph=False).get_concrete_function(
        **{name: tf.TensorSpec(spec.shape, spec.dtype, name) for name, spec in specs.items()}
    )


def checked_concrete(
    function: Callable, specs: Mapping[str, tf.TensorSpec]
) -> tf.types.experimental.ConcreteFunction:
    """Like `concrete`, with inputs that pass through `checked`."""
    return concrete(lambda **inputs: function(**checked(inputs)), specs)


def _dimensions(value: tf.Tensor) -> str:
    return "1 dimension" if value.shape.rank == 1 else f"{value.shape.rank} dimensions"
