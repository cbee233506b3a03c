"""Declares which columns of items, users and events a model reads."""

from __future__ import annotations

import numpy as np
from pydantic import BaseModel, ConfigDict, field_validator

from tfrec_fusion.data.interactions import Interactions
from tfrec_fusion.features.inference import inferred
from tfrec_fusion.features.kinds.one_line import OneLineErrors
from tfrec_fusion.features.side import AnyFeature


class Features(BaseModel, metaclass=OneLineErrors):
    """The features of items, users, requests and past events that a model reads.

    Pass it to a model as `features=`; in a run's config it is the mapping `model.features`.
    `features="infer"` takes those of `infer`. The
    model fits the features on its training rows and saves what was learned, so that training,
    evaluation and exports encode a value in the same way.

    Attributes:
      item: features of the columns of the catalogue.
      user: features of the columns of the users' table; see `data.UserTable`.
      context: features of the context columns of the events, which a request gives, and of
        "timestamp", the time of the event or request. Values must be known before the item is: a
        column that describes the event's item, e.g. its price, would give it away in training.
      event: features of the events in a history: context columns, "timestamp", "rating", "weight"
        and vectors of the events, see `Interactions`.

    Example:
      >>> from tfrec_fusion.features import Category, Features, Number
      >>> declared = Features(item=[Category(column="brand")], user=[Number(column="age")])
      >>> [one.column for one in declared.user]
      ['age']
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    item: tuple[AnyFeature, ...] = ()
    user: tuple[AnyFeature, ...] = ()
    context: tuple[AnyFeature, ...] = ()
    event: tuple[AnyFeature, ...] = ()

    @classmethod
    def infer(cls, events: Interactions) -> Features:
        """Chooses a feature for each column of the items and of the users' table, none of events.

        A log line says for every column what it becomes, or why it is left out: ids, constants,
        free texts, and numbers that follow the number of events so closely that they may be made
        from them. Columns of titles and texts are for encoders.

        Args:
          events: the training events; only their items and users are looked at.

        Example:
          >>> Features.infer(split.train).user  # there is no table of users
          ()
        """
        counts = events.item_counts()
        warm = np.flatnonzero(counts)
        every = events.catalogue.frame
        items = inferred("items", every.iloc[warm], "item_id", counts[warm], every)
        if events.user_table is None:
            return cls(item=items)
        counts = np.diff(events.histories().splits)
        active = np.flatnonzero(counts)
        table = events.user_table
        users = table.rows_of(events.users.ids[active])
        every = table.rows_of(table.vocabulary.ids)
        return cls(item=items, user=inferred("users", users, "user_id", counts[active], every))

    @field_validator("item", "user", "context", "event")
    @classmethod
    def _distinct(cls, features):
        names = [one.name for one in features]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"must have different names; {repeated[0]!r} occurs twice")
        return features

    @field_validator("context")
    @classmethod
    def _requested(cls, features):
        unasked = [one.name for one in features if one.reads is None]
        if unasked:
            raise ValueError(f"must be what a request can give, and it gives no {unasked[0]!r}")
        return features

    @field_validator("event")
    @classmethod
    def _no_labels(cls, features):
        if any("label" in one.columns for one in features):
            raise ValueError(
                "must not read 'label', which tells impressions from events, and histories hold no "
                "impressions; read 'rating' or another column"
            )
        return features
