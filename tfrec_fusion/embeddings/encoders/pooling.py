"""Pooling of a text's token vectors into one vector."""

from tfrec_fusion.errors import InputError

POOLINGS = ("mean", "cls", "last", "max", "mean_sqrt_len", "weightedmean")


def check_pooling(pooling: str) -> None:
    """Raises InputError unless `pooling` is one of `POOLINGS`, or several joined by "+"."""
    if not set(pooling.split("+")) <= set(POOLINGS):
        raise InputError(
            f"pooling: must be one of {', '.join(POOLINGS)}, or several joined by '+' as in "
            f"cls+mean. Received: {pooling!r}"
        )


def pool(hidden, mask, pooling: str, skip: int = 0):
    """Pools token vectors to ``[b, dims]`` float32; several poolings are concatenated.

    mean: mean of the tokens; cls: first token; last: last token; max: maximum of each dim;
    mean_sqrt_len: sum divided by the square root of the number of tokens; weightedmean: mean with
    weights 1, 2, ... by position in the text.

    Args:
      hidden: ``[b, tokens, dims]`` torch tensor.
      mask: ``[b, tokens]`` int64, 1 for tokens, 0 for padding on either side.
      pooling: one of `POOLINGS`, or several joined by "+".
      skip: number of first tokens to ignore in each text, unless it has no others.
    """
    hidden, places = hidden.float(), mask.cumsum(1)
    counts = mask * (places > skip)
    counts = counts.where(counts.any(1, keepdim=True), mask)
    parts = [_pooled(hidden, counts, places, name) for name in pooling.split("+")]
    dims = hidden.shape[-1]
    out = hidden.new_empty(len(hidden), dims * len(parts))
    for place, part in enumerate(parts):
        out[:, place * dims : (place + 1) * dims] = part
    return out


def _pooled(hidden, counts, places, pooling: str):
    if pooling in ("cls", "last"):
        # argmax returns the first of equal values.
        first, last = counts.argmax(1), counts.shape[1] - 1 - counts.flip(1).argmax(1)
        rows = first if pooling == "cls" else last
        return hidden[rows.new_tensor(range(len(rows))), rows]
    there = counts.unsqueeze(-1)
    if pooling == "max":
        return hidden.masked_fill(there == 0, float("-inf")).amax(1)
    weights = (there * places.unsqueeze(-1) if pooling == "weightedmean" else there).float()
    total = weights.sum(1).clamp(min=1)
    return (hidden * weights).sum(1) / (total.sqrt() if pooling == "mean_sqrt_len" else total)
