"""What low ratings are worth: a closed-form model of likes, with and without dislikes, on movies.

    python benchmarks/graded.py [--splits 3] [--page]

Ratings of 4 and more are likes, split at random by 80 to 20; lower ratings of training are dislikes
(`low_ratings="dislike"`) or left out. Targets and candidates are the same in all rows: the whole
catalogue less the user's training likes. Everything that `Spectral` leaves open is chosen on a
held-out tenth of the training events. Low ratings are split as likes are, so those of the test part
are not seen. Intervals are 95 % paired bootstraps over users against likes only, pooled over the
splits. `--page` writes the table into docs/events.md. Data is read from TFREC_FUSION_DATA, else
../shared/data.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from markers import write_between
from retrievals.data import split_of

from tfrec_fusion.evaluation import evaluate, paired_bootstrap
from tfrec_fusion.models.classic import EASE, Spectral

PAGE = Path(__file__).resolve().parents[1] / "docs" / "events.md"
MODELS = {
    "EASE, likes only": lambda: EASE(l2=200, vectors="text", text_weight=20),
    "Spectral, likes only": lambda: Spectral(dislike_weight=0.0),
    "Spectral, words, likes only": lambda: Spectral(vectors="words", dislike_weight=0.0),
    "Spectral, with dislikes": lambda: Spectral(),
    "Spectral, words, with dislikes": lambda: Spectral(vectors="words"),
}
CONTROL = "Spectral, likes only"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--page", action="store_true")
    arguments = parser.parse_args()
    found = {name: [] for name in MODELS}
    for seed in range(arguments.splits):
        split = split_of("movies", "random", seed, min_rating=4, low_ratings="dislike")
        for name, make in MODELS.items():
            model = make().fit(split.train)
            found[name].append(evaluate(model, split, bootstrap=0))
            print(seed, name, f"{found[name][-1].metrics['total']['ndcg@10']:.4f}", flush=True)
    lines = [
        "| movies | NDCG@10 | Recall@20 | NDCG@10 against likes only |",
        "|---|---:|---:|---:|",
    ]
    for name, reports in found.items():
        ndcg, recall = (
            [report.metrics["total"][metric] for report in reports]
            for metric in ("ndcg@10", "recall@20")
        )
        against = ""
        if name != CONTROL:
            mine, others = (
                np.concatenate([report.per_user["ndcg@10"] for report in one])
                for one in (reports, found[CONTROL])
            )
            pair = paired_bootstrap(mine, others)
            against = f"{pair.difference:+.3f} [{pair.low:+.3f}, {pair.high:+.3f}]"
        lines.append(
            f"| {name} | {np.mean(ndcg):.3f} ± {np.std(ndcg, ddof=1):.3f} | "
            f"{np.mean(recall):.3f} ± {np.std(recall, ddof=1):.3f} | {against} |"
        )
    print("\n".join(lines))
    if arguments.page:
        write_between(PAGE, "graded", "\n".join(lines))


if __name__ == "__main__":
    main()
