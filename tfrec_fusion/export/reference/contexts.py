"""The values of declared features that requests may give, for the reference."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tfrec_fusion.data import Interactions
from tfrec_fusion.features.context import context_frame
from tfrec_fusion.features.kinds.values import category_texts, real_numbers
from tfrec_fusion.features.request_encoder import RequestEncoder
from tfrec_fusion.models.serving.request_features import RequestFeatures


def context_values(requested: RequestFeatures | None, events: Interactions) -> dict:
    """Returns input of a request -> values `[n]` of events: float64, or texts with "" for missing.

    Only of texts and numbers; times differ from those of training by nature.

    Args:
      requested: the features that requests may give.
      events: all events before the export.
    """
    if requested is None or requested.context is None:
        return {}
    return _values(requested.context.encoder, context_frame(events))


def user_values(requested: RequestFeatures | None, events: Interactions) -> dict:
    """Returns the same of the users with events, for the inputs that give features of users."""
    if requested is None or requested.users is None or events.user_table is None:
        return {}
    active = events.users.ids[np.unique(events.user[events.user >= 0])]
    return _values(requested.users.encoder, events.user_table.rows_of(active))


def _values(encoder: RequestEncoder, frame: pd.DataFrame) -> dict[str, np.ndarray]:
    found = {}
    for one, names in zip(encoder.side.features, encoder.inputs_of, strict=True):
        for column in one.columns:
            if column not in frame:
                continue
            if one.reads == "text":
                texts = category_texts(frame, column, encoder.side.table)
                texts = np.array(["" if text is None else text for text in texts], object)
                found[names[column]] = texts
            elif one.reads == "number":
                found[names[column]] = real_numbers(frame, column, encoder.side.table)
    return found
