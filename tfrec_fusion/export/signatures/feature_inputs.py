"""The inputs that give features in a request, checked."""

from __future__ import annotations

from collections import Counter

from tfrec_fusion.errors import InputError
from tfrec_fusion.export.signatures.recommend import REQUEST_INPUTS
from tfrec_fusion.export.signatures.tensors import ITEMS
from tfrec_fusion.features.request_encoder import request_inputs
from tfrec_fusion.features.spec import DataSpec
from tfrec_fusion.models.towers.request_context import RENAMED
from tfrec_fusion.models.towers.user_features import PREFIX
from tfrec_fusion.signature import Tensor


def given_features(spec: DataSpec) -> tuple[Tensor, ...]:
    """Returns the inputs that give a model's features.

    Raises:
      InputError: two inputs would have the same name.
    """
    inputs = () if spec.user_side is None else request_inputs(spec.user_side, PREFIX)
    if spec.context_side is not None:
        inputs += request_inputs(spec.context_side, renamed=RENAMED)
    others = [tensor.name for tensor in (*REQUEST_INPUTS, ITEMS)]
    counts = Counter([*others, *(tensor.name for tensor in inputs)])
    repeated = [tensor for tensor in inputs if counts[tensor.name] > 1]
    if repeated:
        column = repeated[0].meaning.partition(";")[0]
        raise InputError(
            f"export: the feature of {column} needs the input {repeated[0].name!r}, which requests "
            f"already have; rename the column and train again. Inputs: {sorted(counts)}"
        )
    return inputs
