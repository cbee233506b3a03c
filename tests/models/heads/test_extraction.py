"""Mixtures of experts with a gate for each head, against NumPy."""

import numpy as np

from tfrec_fusion._compat import tf
from tfrec_fusion.layers import ProgressiveExtraction
from tfrec_fusion.models import PLE, MMoE

RNG = np.random.default_rng(0)


def _noisy(layer, *inputs):
    layer(*inputs)
    for weight in layer.trainable_weights:
        weight.assign_add(RNG.normal(scale=0.5, size=weight.shape).astype(np.float32))
    return layer


def _expert(expert, values):
    for dense in expert.dense:
        values = np.maximum(values @ dense.kernel.numpy() + dense.bias.numpy(), 0)
    return values


def _mixed(gate, values, experts):
    """The sum of experts' outputs with the softmax of a gate, row by row."""
    logits = values @ gate.kernel.numpy()
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return sum(shares[:, [place]] * one for place, one in enumerate(experts))


def _extracted(layer, inputs):
    """One layer of PLE, from the inputs of each task and the shared one."""
    sizes = [layer.options["experts"]] * layer.options["tasks"] + [layer.options["shared"]]
    experts = iter(layer.experts)  # one list of all
    outputs = [
        [_expert(next(experts), values) for _ in range(size)]
        for values, size in zip(inputs, sizes, strict=True)
    ]
    own, shared = outputs[:-1], outputs[-1]
    found = [
        _mixed(layer.gates[task], inputs[task], [*experts, *shared])
        for task, experts in enumerate(own)
    ]
    if layer.options["last"]:
        return found
    everyone = [*(one for experts in own for one in experts), *shared]
    return [*found, _mixed(layer.gates[-1], inputs[-1], everyone)]


def test_an_extraction_layer():
    inputs = [RNG.normal(size=(5, 6)).astype(np.float32) for _ in range(3)]
    for last in (False, True):
        layer = _noisy(ProgressiveExtraction(2, 2, 3, [4, 3], last=last), inputs)
        assert [gate.units for gate in layer.gates] == [5, 5, 7][: 2 if last else 3]
        found, expected = layer(inputs), _extracted(layer, inputs)
        assert len(found) == (2 if last else 3)
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_ple():
    x0 = RNG.normal(size=(4, 6)).astype(np.float32)
    ple = _noisy(PLE(layers=2, experts=1, shared=2, hidden=[5], tasks=3), tf.constant(x0[None]))
    values = [x0] * 4
    for layer in ple.extraction:
        values = _extracted(layer, values)
    found = ple(tf.constant(x0[None]))
    assert found.shape == (1, 4, 3, 5)
    np.testing.assert_allclose(found[0], np.stack(values, 1), rtol=1e-4, atol=1e-5)
    alone = _noisy(PLE(layers=1, hidden=[5]), tf.constant(x0[None]))
    (expected,) = _extracted(alone.extraction[0], [x0, x0])
    np.testing.assert_allclose(alone(tf.constant(x0[None]))[0], expected, rtol=1e-4, atol=1e-5)


def test_mmoe():
    x0 = RNG.normal(size=(4, 6)).astype(np.float32)
    mmoe = _noisy(MMoE(experts=3, hidden=[5], tasks=2), tf.constant(x0[None]))
    experts = [_expert(expert, x0) for expert in mmoe.mixture.experts]
    expected = [_mixed(gate, x0, experts) for gate in mmoe.mixture.gates]
    found = mmoe(tf.constant(x0[None]))
    assert found.shape == (1, 4, 2, 5)
    np.testing.assert_allclose(found[0], np.stack(expected, 1), rtol=1e-4, atol=1e-5)
