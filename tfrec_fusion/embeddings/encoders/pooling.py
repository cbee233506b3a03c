"""One vector from those of a text's tokens."""

POOLINGS = ("mean", "cls", "last")


def pool(hidden, mask, pooling: str):
    """One vector a text, ``[b, dims]`` float32.

    Args:
      hidden: ``[b, tokens, dims]`` torch tensor.
      mask: ``[b, tokens]`` int64, 1 where there is a token.
      pooling: one of `POOLINGS`.

    mean: of the tokens that are there; cls: the first token; last: the last one that is there. The
    padding may stand on either side.
    """
    hidden = hidden.float()
    if pooling == "mean":
        weights = mask.unsqueeze(-1).to(hidden.dtype)
        return (hidden * weights).sum(1) / weights.sum(1).clamp(min=1)
    # argmax gives the first of equal values.
    first, last = mask.argmax(1), mask.shape[1] - 1 - mask.flip(1).argmax(1)
    places = first if pooling == "cls" else last
    return hidden[places.new_tensor(range(len(places))), places]
