"""Encodes texts in one way, in a process of its own.

Ways: "ours": `embeddings.encode` into a new store on disk; "loop": a hand-written loop over texts
sorted by tokens, in batches of 64, vectors in memory; "sentence-transformers": its `encode`.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).resolve().parents[1])]

import numpy as np  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from harness import serve  # noqa: E402

BATCH = 64
MAX_TOKENS = 256
transformers.logging.disable_progress_bar()


def ours(model: str, precision: str):
    from tfrec_fusion.embeddings import HuggingFaceEncoder, encode

    encoder = HuggingFaceEncoder(model, max_length=MAX_TOKENS, precision=precision)
    encoder.network  # noqa: B018  (loaded before the clock starts, as the peers' is)

    def run(texts):
        with tempfile.TemporaryDirectory() as folder:
            ids = range(len(texts))
            return encode(texts, encoder, f"{folder}/store", ids=ids, progress=False).store.values()

    return run


def loop(model: str, precision: str):
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    network = transformers.AutoModel.from_pretrained(model, dtype=dtype).eval()

    def run(texts):
        tokens = tokenizer(texts, truncation=True, max_length=MAX_TOKENS)["input_ids"]
        order = sorted(range(len(texts)), key=lambda row: -len(tokens[row]))
        out = np.empty((len(texts), network.config.hidden_size), np.float32)
        with torch.inference_mode():
            for start in range(0, len(order), BATCH):
                rows = order[start : start + BATCH]
                batch = tokenizer.pad({"input_ids": [tokens[r] for r in rows]}, return_tensors="pt")
                hidden = network(**batch).last_hidden_state.float()
                mask = batch["attention_mask"].unsqueeze(-1).float()
                mean = (hidden * mask).sum(1) / mask.sum(1)
                out[rows] = torch.nn.functional.normalize(mean, dim=1).numpy()
        return out

    return run


def sentence_transformers(model: str, precision: str):
    from sentence_transformers import SentenceTransformer

    network = SentenceTransformer(model)
    return lambda texts: network.encode(texts, show_progress_bar=False)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("way", choices=["ours", "loop", "sentence-transformers"])
    parser.add_argument("--model", required=True)
    parser.add_argument("--texts", required=True, help="JSON list of strings")
    parser.add_argument("--precisions", nargs="+", required=True)
    parser.add_argument("--threads", type=int, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    make = {"ours": ours, "loop": loop, "sentence-transformers": sentence_transformers}
    ways = {name: make[arguments.way](arguments.model, name) for name in arguments.precisions}
    texts = json.loads(Path(arguments.texts).read_text())

    def answer(message: dict) -> dict:
        started = time.perf_counter()
        vectors = ways[message["precision"]](texts)
        seconds = time.perf_counter() - started
        # A few rows, so that the benchmark can check that all ways give the same vectors.
        return {"seconds": seconds, "vectors": np.asarray(vectors, np.float32)[::97].tolist()}

    serve(answer)


if __name__ == "__main__":
    main()
