"""Dense float64 references: the optimizers' formulas, row by row."""

import numpy as np
import pytest


class AdagradReference:
    """Row-wise Adagrad of one weight."""

    def __init__(self, weight, lr, start=0.0, epsilon=1e-8, decay=0.0):
        self.w = np.asarray(weight, np.float64)
        self.a = np.full(len(self.w), start)
        self.lr, self.epsilon, self.decay = lr, epsilon, decay

    def step(self, gradient, rows):
        for row in rows:
            g = gradient[row]
            self.a[row] += np.mean(g**2)
            scaled = g / (np.sqrt(self.a[row]) + self.epsilon)
            self.w[row] = self.w[row] - self.lr * (scaled + self.decay * self.w[row])


class AdamReference:
    """Adam of one weight, in which rows outside the batch stand still."""

    def __init__(self, weight, lr, betas=(0.9, 0.999), epsilon=1e-7, decay=0.0):
        self.w = np.asarray(weight, np.float64)
        self.m, self.v = np.zeros_like(self.w), np.zeros_like(self.w)
        self.lr, self.betas, self.epsilon, self.decay, self.t = lr, betas, epsilon, decay, 0

    def step(self, gradient, rows):
        self.t += 1
        b1, b2 = self.betas
        c = np.sqrt(1 - b2**self.t) / (1 - b1**self.t)
        for row in rows:
            g = gradient[row]
            self.m[row] = b1 * self.m[row] + (1 - b1) * g
            self.v[row] = b2 * self.v[row] + (1 - b2) * g**2
            scaled = c * self.m[row] / (np.sqrt(self.v[row]) + self.epsilon)
            self.w[row] = self.w[row] - self.lr * (scaled + self.decay * self.w[row])


def summed(shape, rows, values):
    """The dense float64 gradient of a lookup, and the distinct rows."""
    gradient = np.zeros(shape)
    for row, value in zip(rows, values, strict=True):
        gradient[row] += value
    return gradient, sorted(set(rows))


@pytest.fixture
def reference():
    """`AdagradReference`, `AdamReference` and `summed`, for files that pytest imports alone."""
    return type(
        "Reference",
        (),
        {
            "Adagrad": AdagradReference,
            "Adam": AdamReference,
            "summed": staticmethod(summed),
        },
    )
