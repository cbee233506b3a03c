"""The README that tools/make_sample.py puts beside the sample."""

from pathlib import Path

import numpy as np
import pandas as pd

_TEMPLATE = Path(__file__).with_suffix(".md")


def readme(sample, probes):
    """Describes a `Sample` of make_sample and the frame of probes that was measured on it."""
    from make_sample import CROWD_WEIGHTS, DAYS
    from sample_words import BRANDS, CATEGORIES, COLOURS, THEMES

    events = sample.interactions
    day = pd.to_datetime(events["timestamp"], unit="s").dt.strftime("%Y-%m-%d")
    cut_day = pd.Timestamp(sample.cut, unit="s")
    start = pd.Timestamp(day.iloc[0])
    cold = sample.launch > (cut_day.normalize() - start).days
    cold_ids = set(sample.items["item_id"][cold])
    columns = ["R@20", "N@10", "warm N@10", "cold N@10"]
    lines = ["| model | " + " | ".join(columns) + " |", "| --- |" + " --- |" * len(columns)]
    for name, row in probes.iterrows():
        cells = [f"{row[c]:.3f}".replace("0.", ".", 1) for c in columns]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return _TEMPLATE.read_text(encoding="utf-8").format(
        items=len(sample.items),
        categories=len(CATEGORIES),
        brands=len(BRANDS),
        themes=len(THEMES),
        colours=len(COLOURS),
        events=len(events),
        pairs=len(events.drop_duplicates(["user_id", "item_id"])),
        users=events["user_id"].nunique(),
        first=day.iloc[0],
        last=day.iloc[-1],
        crowd_low=np.exp(min(CROWD_WEIGHTS)),
        crowd_high=np.exp(max(CROWD_WEIGHTS)),
        sets=sample.sets.max() + 1,
        launched=int((sample.launch >= 0).sum()),
        ended=int((sample.end < DAYS).sum()),
        seasonal=sum(peak is not None for _, peak, _ in CATEGORIES.values()),
        cold=int(cold.sum()),
        cut=cut_day.strftime("%Y-%m-%d"),
        cold_events=int(events["item_id"].isin(cold_ids).sum()),
        n_test=probes.attrs["users"],
        targets=probes.attrs["targets"],
        cold_share=probes.attrs["cold share"],
        table="\n".join(lines),
    )
