"""What a ranker of its candidates adds to EASE on retail.

    python benchmarks/two_stage.py [--seeds 3] [--steps 1000] [--json FILE]

The temporal split of the last tenth. EASE with text, decay and trend proposes 200 candidates; its
options were chosen on the validation period. A `Ranker` with its defaults is trained on random
negatives, and another one with half of them from the candidates. The weight of the retrieval score
is chosen on the validation period, and the model with it is measured on the test period, trained
anew. Intervals are 95 % paired bootstraps over users against EASE. Data is read from
TFREC_FUSION_DATA, else ../shared/data.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from retrievals.data import split_of
from retrievals.rows import TREND

import tfrec_fusion as tff
from tfrec_fusion._compat import keras
from tfrec_fusion.evaluation import evaluate, paired_bootstrap
from tfrec_fusion.examples import ranking_examples
from tfrec_fusion.models.classic import EASE
from tfrec_fusion.pipelines import TwoStage

WEIGHTS = (0.0, 0.1, 0.25, 0.5, 1.0)


def ranker_of(train, retrieval, seed, steps):
    """A ranker of one epoch; retrieval None for random negatives alone."""
    keras.utils.set_random_seed(seed)
    model = tff.models.Ranker(train, vectors=["text"])
    options = {"steps_per_epoch": steps, "seed": seed}
    batches = ranking_examples(train, 512, negatives_from=retrieval, **options)
    model.compile(tff.optimizers.adam(1e-3, steps=len(batches)))
    model.fit(batches, verbose=0)
    return model


def measured(split, seed, steps, weights):
    """(negatives, weight) -> NDCG@10, its difference from EASE and the interval."""
    retrieval = EASE(**TREND).fit(split.train)
    base = evaluate(retrieval, split, bootstrap=0).per_user["ndcg@10"]
    found = {("none", 0.0): (float(base.mean()),)}
    for negatives, chosen in weights.items():
        begin = time.perf_counter()
        source = retrieval if negatives == "candidates" else None
        ranker = ranker_of(split.train, source, seed, steps)
        print(f"{negatives}: trained in {time.perf_counter() - begin:.0f} s", flush=True)
        for weight in chosen:
            model = TwoStage(retrieval, ranker, retrieval_weight=weight)
            own = evaluate(model, split, bootstrap=0).per_user["ndcg@10"]
            found[negatives, weight] = (float(own.mean()), *paired_bootstrap(own, base)[:3])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=1000, help="batches of 512 events")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    split, kept = split_of("retail", "temporal", 0), []
    for seed in range(arguments.seeds):
        tried = dict.fromkeys(("random", "candidates"), WEIGHTS)
        validation = measured(split.validation(), seed, arguments.steps, tried)
        best = {
            name: (max(WEIGHTS, key=lambda weight, name=name: validation[name, weight][0]),)
            for name in tried
        }
        test = measured(split, seed, arguments.steps, best)
        for part, found in (("validation", validation), ("test", test)):
            for (negatives, weight), figures in found.items():
                cells = " ".join(f"{figure:+.4f}" for figure in figures)
                print(f"seed {seed} {part} {negatives} {weight}: {cells}", flush=True)
                row = {"seed": seed, "part": part, "negatives": negatives, "weight": weight}
                kept.append({**row, "figures": figures})
    if arguments.json:
        arguments.json.write_text(json.dumps(kept, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
