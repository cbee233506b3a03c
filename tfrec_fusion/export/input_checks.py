"""Checks of a request's shapes inside the graph: TF Serving has none before it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tfrec_fusion._compat import tf


def checked(inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """The inputs, once each is known to have its dimensions and a row for each row of the first.

    A request that does not fit ends with InvalidArgumentError, whose text names the input, before
    anything is computed of it.

    Args:
      inputs: name -> tensor of known rank, 1 or more, which a session does not enforce.
    """
    names, values = list(inputs), list(inputs.values())
    # TensorFlow answers what it can from the shapes that the signature promises: the functions of
    # tf.shape while tracing, and the optimizer of a loaded signature's graph the raw operations.
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
    """`function(**inputs)` with inputs of these specs, by name."""

    def by_name(**inputs):
        return function(**{name: inputs[name] for name in specs})

    return tf.function(by_name, autograph=False).get_concrete_function(
        **{name: tf.TensorSpec(spec.shape, spec.dtype, name) for name, spec in specs.items()}
    )


def checked_concrete(
    function: Callable, specs: Mapping[str, tf.TensorSpec]
) -> tf.types.experimental.ConcreteFunction:
    """As `concrete`, of `checked` inputs."""
    return concrete(lambda **inputs: function(**checked(inputs)), specs)


def _dimensions(value: tf.Tensor) -> str:
    return "1 dimension" if value.shape.rank == 1 else f"{value.shape.rank} dimensions"
