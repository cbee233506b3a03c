"""Training, evaluation and top-k on one GPU, against a lower bound from bandwidth and flops.

Needs only this package and a GPU that TensorFlow sees; without one it prints a line and measures
nothing. The lower bound ("floor") of a step is the larger of two times: to move its bytes at the
measured bandwidth (a copy of 1 GB), and to compute its matrix products at the measured rate. Ratios
are our time / floor, so at least 1; the floor ignores kernel launches and sorting.
"""

from types import SimpleNamespace

import numpy as np
from harness import Claim, Options, Timing, interleave, main, seconds
from scipy import sparse

from tfrec_fusion._compat import keras, tf, tfrs
from tfrec_fusion.data import History
from tfrec_fusion.evaluation import evaluate
from tfrec_fusion.examples import BlockWindow
from tfrec_fusion.features import DataSpec
from tfrec_fusion.layers import IdEmbedding
from tfrec_fusion.models import TwoTower
from tfrec_fusion.optimizers import for_tables
from tfrec_fusion.retrieval import ExactTopK


class Machine:
    """Measured bandwidth in bytes per second, and rate of matrix products in flops per second."""

    def __init__(self, options: Options):
        numbers = options.size(1 << 28, 1 << 28, 1 << 20)
        side = options.size(8192, 8192, 256)
        values, square = tf.random.normal([numbers]), tf.random.normal([side, side])
        read = tf.function(lambda: tf.reduce_max(values))
        product = tf.function(lambda: tf.linalg.matmul(square, square)[0, 0])
        timings = interleave(
            {
                "read": seconds(lambda: read().numpy(), 10),
                "product": seconds(lambda: product().numpy(), 5),
            },
            options.rounds,
        )
        self.bandwidth = 4 * numbers / timings["read"].median
        self.rate = 2 * side**3 / timings["product"].median

    def floor(self, moved: float, operations: float) -> float:
        """Lower bound in seconds to move these bytes and compute these operations."""
        return max(moved / self.bandwidth, operations / self.rate)


def claim(what: str, timing: Timing, floor: float, each: float, unit: str) -> Claim:
    """Our time over the floor; one measurement covers `each` units of the kind `unit`."""
    ratios = [value / floor for value in timing.values]
    return Claim(
        what,
        "the floor from measured bandwidth and matmul rate",
        timing.median / floor,
        None,
        "lower",
        len(ratios),
        min(ratios),
        max(ratios),
        f"{each / timing.median:,.0f} {unit} a second; floor {each / floor:,.0f}",
    )


def two_tower(machine: Machine, options: Options):
    rows, dim = options.size((1_000_000, 64), (1_000_000, 64), (2_000, 8))
    rng = np.random.default_rng(0)
    for batch in options.size((8_192, 65_536), (8_192, 65_536), (64,)):
        steps = options.size(40, 15, 2)
        spec = DataSpec(n_users=rows, n_items=rows, users="", items="", vector_dims={})
        plain = {"vectors": [], "trend": False, "id_dropout": 0.0, "id_l2": 0.0}
        model = TwoTower(spec, dim=dim, user="id", **plain)
        model.compile(for_tables(learning_rate=0.05), steps_per_execution=steps)
        ids = {n: rng.integers(0, rows, batch * steps, np.int32) for n in ("user", "item")}
        data = BlockWindow(ids).batches(batch)
        timing = interleave(
            {"fit": seconds(lambda m=model, d=data: m.fit(d, verbose=0))}, options.rounds
        )["fit"].divided_by(steps)
        # Rows of two tables are read, and read and written by the update; the logits are computed
        # in the forward and again in the backward pass, which has two more products.
        moved = 2 * batch * dim * 4 * 3
        floor = machine.floor(moved, 4 * 2 * batch * batch * dim)
        what = f"TwoTower, {rows:,} users and items x {dim}, batch {batch:,}"
        yield claim(what, timing, floor, batch, "examples")


class DeepCross(keras.Model):
    """DCN-v2 over 26 id features and 13 numbers, as for Criteo."""

    FEATURES, NUMBERS = 26, 13

    def __init__(self, rows: int, dim: int, units: int):
        super().__init__()
        self.table = IdEmbedding(rows, dim)
        width = self.FEATURES * dim + self.NUMBERS
        self.crosses = [tfrs.layers.dcn.Cross(width // 4) for _ in range(3)]
        self.deep = [keras.layers.Dense(units, "relu") for _ in range(3)]
        self.logit = keras.layers.Dense(1)
        self.width = width

    def call(self, batch):
        ids = self.table(batch["ids"])
        x0 = tf.concat([tf.reshape(ids, [tf.shape(ids)[0], -1]), batch["numbers"]], 1)
        x0 = crossed = deep = tf.ensure_shape(x0, [None, self.width])
        for layer in self.crosses:
            crossed = layer(x0, crossed)
        for layer in self.deep:
            deep = layer(deep)
        return self.logit(tf.concat([crossed, deep], 1))[:, 0]

    def train_step(self, batch):
        with tf.GradientTape() as tape:
            loss = tf.nn.sigmoid_cross_entropy_with_logits(batch["label"], self(batch))
            loss = tf.reduce_mean(loss)
        self.optimizer.minimize(loss, self.trainable_variables, tape)
        return {"loss": loss}


def deep_cross(machine: Machine, options: Options):
    rows, dim, units = options.size((4_000_000, 32, 1024), (4_000_000, 32, 1024), (500, 4, 16))
    batch, steps = options.size((65_536, 12), (65_536, 6), (64, 2))
    rng = np.random.default_rng(0)
    model = DeepCross(rows, dim, units)
    model.compile(for_tables(learning_rate=0.01), steps_per_execution=steps)
    n = batch * steps
    data = BlockWindow(
        {
            "ids": rng.integers(0, rows, (n, model.FEATURES), np.int32),
            "numbers": rng.random((n, model.NUMBERS), np.float32),
            "label": rng.integers(0, 2, n).astype(np.float32),
        }
    ).batches(batch)
    timing = interleave({"fit": seconds(lambda: model.fit(data, verbose=0))}, options.rounds)
    timing = timing["fit"].divided_by(steps)
    weights = 3 * 2 * model.width * (model.width // 4) + model.width * units + 2 * units**2
    moved = 3 * 4 * batch * model.FEATURES * dim
    floor = machine.floor(moved, 3 * 2 * batch * weights)
    what = f"DCN-v2, 26 x {dim} + 13 features, 3 crosses and 3 x {units}, batch {batch:,}"
    yield claim(what, timing, floor, batch, "examples")


def top_k(machine: Machine, options: Options):
    n_items, dim = options.size((1_000_000, 128), (1_000_000, 128), (5_000, 8))
    rng = np.random.default_rng(0)
    items = rng.standard_normal((n_items, dim), dtype=np.float32)
    plain, compiled = ExactTopK(items), ExactTopK(items, jit_compile=True)
    graph = tf.function(lambda queries: plain(queries, 100))
    for batch in (1, 64):
        queries = tf.constant(rng.standard_normal((batch, dim), dtype=np.float32))
        repeat = options.size(50, 20, 1)
        timings = interleave(
            {
                "plain": seconds(lambda q=queries: graph(q)[1].numpy(), repeat),
                "under XLA": seconds(lambda q=queries: compiled(q, 100)[1].numpy(), repeat),
            },
            options.rounds,
        )
        # The item vectors are read once, the scores are written and read once.
        moved = 4 * n_items * (dim + 2 * batch)
        floor = machine.floor(moved, 2 * batch * n_items * dim)
        for name, timing in timings.items():
            what = f"exact top-100 of {n_items:,} x {dim}, batch {batch}, {name}"
            yield claim(what, timing, floor, batch, "queries")


def evaluation(machine: Machine, options: Options):
    n_items, dim = options.size((1_000_000, 64), (1_000_000, 64), (5_000, 8))
    n_users = options.size(8_192, 2_048, 64)
    rng = np.random.default_rng(0)
    users = rng.standard_normal((n_users, dim), dtype=np.float32)
    items = tf.constant(rng.standard_normal((n_items, dim), dtype=np.float32))
    seen = rng.integers(0, n_items // 2, n_users * 20)
    ones = np.ones(len(seen), np.float32)
    matrix = sparse.csr_matrix((ones, (np.repeat(np.arange(n_users), 20), seen)))
    matrix = sparse.csr_matrix((matrix.data, matrix.indices, matrix.indptr), (n_users, n_items))
    target = rng.integers(n_items // 2, n_items, n_users, dtype=np.int32)
    targets = History(np.arange(n_users + 1), target, None)
    train = SimpleNamespace(matrix=lambda: matrix, timestamp=None)
    train.counted_events = lambda: train
    split = SimpleNamespace(
        train=train,
        targets=lambda: (np.arange(n_users, dtype=np.int32), targets),
        kind="random",
    )
    scorer = SimpleNamespace(user_vectors=lambda rows: users[rows], item_vectors=items)
    model = SimpleNamespace(scorer=lambda state: scorer)
    timing = interleave(
        {"evaluate": seconds(lambda: evaluate(model, split, bootstrap=0))}, options.rounds
    )["evaluate"]
    # A block of 64 users reads the items once; scores are written and read once.
    moved = 4 * n_items * (dim * n_users / 64 + 2 * n_users)
    floor = machine.floor(moved, 2 * n_users * n_items * dim)
    yield claim(f"full evaluation, {n_items:,} items x {dim}", timing, floor, n_users, "users")


def claims(options: Options):
    devices = tf.config.list_physical_devices("GPU")
    if not devices and not options.tiny:
        print("TensorFlow sees no GPU here: nothing is measured", flush=True)
        return
    names = [tf.config.experimental.get_device_details(d).get("device_name") for d in devices]
    machine = Machine(options)
    print(
        f"on {names or 'no GPU'}: {machine.bandwidth / 1e9:,.0f} GB/s read, "
        f"{machine.rate / 1e12:,.1f} T operations/s in float32 products",
        flush=True,
    )
    for part in (two_tower, deep_cross, top_k, evaluation):
        yield from part(machine, options)


if __name__ == "__main__":
    main(claims, __doc__.partition("\n")[0])
