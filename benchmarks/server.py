"""The embedded server: added latency, gain of batching, and correctness under mixed load.

Server and clients run on one machine over loopback, so the clients use some of its processors.
"""

import asyncio
import concurrent.futures
import re
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
from harness import ROOT, Claim, Options, Worker, interleave, main, p50, serve

from tfrec_fusion._compat import tf
from tfrec_fusion.client.grpc_transport import GrpcTransport
from tfrec_fusion.client.model_spec import ModelSpec
from tfrec_fusion.client.rest_transport import RestTransport
from tfrec_fusion.deploy.warmup import signature_specs
from tfrec_fusion.export.samples import Samples

IN_PROCESS = "the signature in the process"


def claims(options: Options):
    items = options.size(100_000, 100_000, 500)
    with tempfile.TemporaryDirectory() as folder:
        version, merging = _export(Path(folder), items)
        requests = _requests(version)
        signatures = tf.saved_model.load(str(version)).signatures
        with ExitStack() as stack:
            plain = stack.enter_context(_server(version.parent))
            batched = stack.enter_context(_server(merging.parent))
            yield from _added(options, plain, signatures, requests, items)
            yield from _batching(options, plain, batched, version)
            yield from _mixed(options, plain, batched, signatures, requests)


def _export(folder: Path, items: int) -> list[Path]:
    """Exports an untrained model, whose answers take as long as a trained one's.

    The first version runs each request alone, the second merges concurrent requests.
    """
    from tfrec_fusion.data import Catalogue, Interactions
    from tfrec_fusion.deploy import DeploymentConfig
    from tfrec_fusion.export import export
    from tfrec_fusion.models import TwoTower

    rng = np.random.default_rng(0)
    names = [f"item-{i}" for i in range(items)]
    vectors = rng.standard_normal((items, 32), dtype=np.float32)
    catalogue = Catalogue(pd.DataFrame({"item_id": names, "title": names}), {"text": vectors})
    n, users = 4 * items, items // 10
    frame = pd.DataFrame(
        {
            "user_id": [f"user-{u}" for u in rng.integers(0, users, n)],
            "item_id": [names[i] for i in rng.integers(0, items, n)],
            "timestamp": 1.6e9 + rng.uniform(0, 2e7, n),
        }
    )
    events = Interactions.from_frame(frame, catalogue, duplicates="first")
    model = TwoTower(events, dim=64)
    return [
        export(
            model,
            events,
            folder / str(merging) / "shop",
            deployment=DeploymentConfig(merging=merging),
        )
        for merging in (None, "graph")
    ]


def _requests(version: Path) -> list[tuple[str, dict]]:
    """Eight requests of one row for each signature: known and unknown ids, lists of one length."""
    samples = Samples(version)
    return [
        (name, samples.inputs(name, inputs, 1))
        for name, (inputs, _) in signature_specs(version).items()
        for _ in range(8)
    ]


@contextmanager
def _server(base: Path, *more):
    """Starts a server in its own process; gives its REST and gRPC addresses."""
    command = [sys.executable, "-m", "tfrec_fusion.cli", "serve", base, "--rest-port", 0]
    process = subprocess.Popen(
        list(map(str, [*command, "--grpc-port", 0, *more])),
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        yield re.search(r"REST at (\S+), gRPC at (\S+)", process.stdout.readline()).groups()
    finally:
        process.terminate()
        process.wait()


def _added(options: Options, server, signatures, requests, items: int):
    rest, rpc = (
        kind(at, ModelSpec("shop"))
        for kind, at in zip((RestTransport, GrpcTransport), server, strict=True)
    )
    inputs = dict(requests)["recommend"]

    def direct():
        found = signatures["recommend"](**{k: tf.constant(v) for k, v in inputs.items()})
        return {name: value.numpy() for name, value in found.items()}

    # Many short turns, so that other load on the machine affects all three equally.
    repeat, rounds = options.size(50, 50, 5), options.rounds * options.size(6, 6, 1)
    contenders = {
        IN_PROCESS: p50(direct, repeat),
        "REST": p50(lambda: rest.predict("recommend", inputs, 30), repeat),
        "gRPC": p50(lambda: rpc.predict("recommend", inputs, 30), repeat),
    }
    timings = interleave(contenders, rounds)
    base = timings[IN_PROCESS]
    for name, goal in (("REST", 3.0), ("gRPC", 2.0)):
        added = [1e3 * (a - b) for a, b in zip(timings[name].values, base.values, strict=True)]
        yield Claim(
            f"milliseconds that {name} adds to the p50 of recommend at batch 1, {items:,} items",
            IN_PROCESS,
            float(np.median(added)),
            goal,
            "lower",
            rounds,
            min(added),
            max(added),
            f"{name} {1e3 * timings[name].median:.3g} ms; {IN_PROCESS} {1e3 * base.median:.3g} ms",
        )


def _batching(options: Options, plain, batched, version: Path):
    clients, seconds = 32, options.size(5.0, 3.0, 0.3)
    with Worker([sys.executable, __file__, "--load"]) as load:

        def measure(server):
            return lambda: load.ask(
                at=server[1], version=str(version), clients=clients, seconds=seconds
            )["took"]

        timings = interleave({"batching": measure(batched), "none": measure(plain)}, options.rounds)
    yield Claim.of(
        f"time of a request to recommend, {clients} clients, the same catalogue",
        "the same server and model without merging",
        timings,
        "batching",
        "none",
        goal=1.5,
    )


async def _load(at: str, version: str, clients: int, seconds: float) -> float:
    """Mean seconds a request, of clients that each ask again as soon as they are answered."""
    import grpc
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    written = []
    for name, inputs in _requests(Path(version)):
        if name == "recommend":
            request = predict_pb2.PredictRequest()
            request.model_spec.name, request.model_spec.signature_name = "shop", name
            for key, value in inputs.items():
                request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
            written.append(request)
    async with grpc.aio.insecure_channel(at) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        started, count = time.perf_counter(), 0

        async def client(number: int) -> None:
            nonlocal count
            while time.perf_counter() - started < seconds:
                number += 1
                await stub.Predict(written[number % len(written)], timeout=60)
                count += 1

        await asyncio.gather(*map(client, range(clients)))
        return (time.perf_counter() - started) / count


def _mixed(options: Options, plain, batched, signatures, requests):
    clients, seconds = 8, options.size(60.0, 20.0, 1.0)
    expected = []
    for name, inputs in requests:
        found = signatures[name](**{key: tf.constant(value) for key, value in inputs.items()})
        expected.append({key: value.numpy() for key, value in found.items()})
    for server, how in ((plain, "without batching"), (batched, "with batching")):
        ends = time.monotonic() + seconds
        with concurrent.futures.ThreadPoolExecutor(clients) as pool:
            work = [
                pool.submit(_client, server, requests, expected, number, ends)
                for number in range(clients)
            ]
            counts = [future.result() for future in work]
        asked, wrong, failed = map(sum, zip(*counts, strict=True))
        yield Claim(
            f"wrong or missing answers in {seconds:g} s of mixed load, {clients} clients, {how}",
            IN_PROCESS,
            wrong + failed,
            0,
            "lower",
            detail=f"{asked} requests, {wrong} wrong, {failed} failed",
        )


def _client(server, requests, expected, number: int, ends: float) -> tuple[int, int, int]:
    """Counts of requests, wrong answers and failures of one client; every second one uses REST."""
    kind, at = ((RestTransport, server[0]), (GrpcTransport, server[1]))[number % 2]
    transport, rng = kind(at, ModelSpec("shop")), np.random.default_rng(number)
    asked = wrong = failed = 0
    while time.monotonic() < ends:
        chosen = rng.integers(len(requests))
        asked += 1
        try:
            found = transport.predict(*requests[chosen], 30)
        except Exception:
            failed += 1
            continue
        wrong += not _same(found, expected[chosen])
    transport.close()
    return asked, wrong, failed


def _same(found: dict, expected: dict) -> bool:
    """Whether ids are equal and scores equal up to rounding, which differs in merged requests."""
    return found.keys() == expected.keys() and all(
        np.array_equal(found[name], value)
        if value.dtype == object
        else np.allclose(found[name], value, rtol=1e-5, atol=1e-5)
        for name, value in expected.items()
    )


if __name__ == "__main__":
    if sys.argv[1:] == ["--load"]:
        serve(lambda message: {"took": asyncio.run(_load(**message))})
    else:
        main(claims, __doc__)
