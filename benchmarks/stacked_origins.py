"""A stack and its members on retail at several origins in time, pooled with intervals.

    python benchmarks/stacked_origins.py [--origins 6] [--folds 3] [--json FILE] [--page]

Each origin is the begin of the last tenth of the events before the next one, the latest the split
of retrieval.py. The members of `stack.py` are trained until each of them and until `--folds`
earlier ones; the head of an origin is trained on the windows of the earlier ones, so that it knows
nothing of its own. `--page` writes the tables into docs/blend.md. Data is read from
TFREC_FUSION_DATA, else ../shared/data.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from markers import write_between
from origins import markdown
from retrievals.data import split_of
from stack import PAGE, factories

from tfrec_fusion.evaluation import RollingReport, evaluate
from tfrec_fusion.evaluation.origin_result import OriginResult
from tfrec_fusion.evaluation.window import Window
from tfrec_fusion.pipelines import Stack, StackConfig
from tfrec_fusion.training.held_out_parts import held_out_parts
from tfrec_fusion.training.member_factories import trained_members
from tfrec_fusion.training.stack_folds import StackFold, fit_head

OPTIONS = {"cold": "two_tower"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--origins", type=int, default=6)
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the report here")
    parser.add_argument("--page", action="store_true", help="write into docs/blend.md")
    arguments = parser.parse_args()
    count, made = arguments.origins, factories(arguments.seed)
    config = StackConfig(members={name: {} for name in made}, **OPTIONS)
    split = split_of("retail", "temporal", 0)
    earlier = held_out_parts(split, count + arguments.folds - 1, arguments.seed)
    kept, folds = [], []
    for place, part in enumerate([split, *earlier]):
        begin = time.perf_counter()
        members = trained_members("origins", made, part.train)
        folds.append(StackFold.of(members, part, config, arguments.seed))
        if place < count:
            kept.append((part, members, time.perf_counter() - begin))
        print(f"trained until origin {place + 1} of {count + arguments.folds}", flush=True)
    windows, results = [], []
    for place, (part, members, seconds) in reversed([*enumerate(kept)]):
        learned = folds[place + 1 : place + 1 + arguments.folds]
        head = fit_head(learned, config, epochs=12, learning_rate=2e-3, seed=arguments.seed)
        models = {**members, "stack": Stack(members, head, **OPTIONS)}
        results.append(
            {
                name: OriginResult.of(evaluate(model, part, name=name), part, seconds)
                for name, model in models.items()
            }
        )
        print({name: one.report.metrics["total"]["ndcg@10"] for name, one in results[-1].items()})
        times = part.test.event_times
        windows.append(Window(float(times.min()), float(times.max()) + 1.0))
    report = RollingReport.of(windows, results, reference="two_tower")
    table = markdown(report)
    print(table)
    if arguments.page:
        write_between(PAGE, "stacked origins", table)
    if arguments.json:
        report.save(arguments.json)


if __name__ == "__main__":
    main()
