"""Ten thousand requests that nobody means, over a connection."""

import json
import random
from pathlib import Path

import pytest
import urllib3

pytestmark = pytest.mark.slow
COUNT = 10_000
# What a server of this version may say to nonsense.
ALLOWED = {200, 400, 404, 413, 501}
PATHS = (
    "/v1/models/zoo:predict",
    "/v1/models/zoo/versions/1:predict",
    "/v1/models/zoo/labels/stable:predict",
    "/v1/models/zoo:classify",
    "/v1/models/none:predict",
    "/v1/models/zoo",
    "/v1/models/zoo/metadata",
    "/v1/models//:predict",
    "/v1/%ff/x",
)
SIGNATURES = ("", "types", "copies", "scalars", "matrix", "divide", "refuse", "uneven", "half", "x")
NAMES = ("x", "z", "s", "n", "m", "f32", "text", "b64", "signature_name", "inputs", "instances")
TEXTS = ("", "a", "käse", "\ud83d", "\x00", '"', "aGk=", "{", "9" * 400, "x" * 5000)
NUMBERS = (0, 1, -1, 1.5, 1e308, -1e-320, 2**31, 2**63, 2**64, 10**40, float("nan"), float("inf"))


def value(draw, depth=0):
    kind = draw.randrange(9 if depth < 5 else 5)
    if kind < 2:
        return draw.choice(NUMBERS)
    if kind < 4:
        return draw.choice(TEXTS)
    if kind == 4:
        return draw.choice((None, True, False))
    if kind < 8:
        return [value(draw, depth + 1)] * draw.randrange(4) + [
            value(draw, depth + 1) for _ in range(draw.randrange(3))
        ]
    return {draw.choice(NAMES): value(draw, depth + 1) for _ in range(draw.randrange(4))}


def body(draw):
    document = {draw.choice(("inputs", "instances")): value(draw)}
    if draw.random() < 0.8:
        document["signature_name"] = draw.choice(SIGNATURES)
    if draw.random() < 0.1:
        document = value(draw)
    data = json.dumps(document, ensure_ascii=draw.random() < 0.5).encode("utf-8", "surrogatepass")
    if draw.random() < 0.3:
        data = bytearray(data)
        for _ in range(draw.randrange(1, 4)):
            if data:
                data[draw.randrange(len(data))] = draw.choice(b'\x00\xff[]{},:"\\0-eN ')
        data = bytes(data)
    return data


def memory(pid):
    """Resident memory in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError


def test_nonsense_is_refused(server_process, zoo):
    draw = random.Random(0)
    counts = {}
    with server_process("--model-config-file", zoo) as server, urllib3.PoolManager() as pool:
        for number in range(COUNT):
            verb = "POST" if draw.random() < 0.95 else draw.choice(("GET", "PUT", "OPTIONS"))
            path = draw.choice(PATHS) if draw.random() < 0.2 else PATHS[0]
            data = body(draw)
            answer = pool.request(verb, server.rest + path, body=data, retries=False, timeout=30)
            counts[answer.status] = counts.get(answer.status, 0) + 1
            assert answer.status in ALLOWED, (verb, path, data, answer.data)
            if answer.status not in (200, 404) and verb != "OPTIONS":
                assert list(json.loads(answer.data.decode(errors="replace"))) == ["error"], (
                    path,
                    data,
                )
            if number == COUNT // 5:
                before = memory(server.process.pid)
        grown = memory(server.process.pid) - before
        assert not any('"event": "bug"' in line for line in server.log)
    # Some of it is no nonsense.
    assert counts[200] > COUNT / 100, counts
    assert grown < 100, f"{grown} MB"
