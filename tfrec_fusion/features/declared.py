"""Declares which columns of items and users a model reads."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, field_validator

from tfrec_fusion.features.side import AnyFeature


class Features(BaseModel):
    """The features of items and users that a model reads beside ids, vectors and trends.

    Pass it to a model as `features=`; in a run's config it is the mapping `model.features`. The
    model fits the features on its training rows and saves what was learned, so that training,
    evaluation and exports encode a value in the same way.

    Attributes:
      item: features of the columns of the catalogue.
      user: features of the columns of the users' table; see `data.UserTable`.

    Example:
      >>> from tfrec_fusion.features import Category, Features, Number
      >>> declared = Features(item=[Category(column="brand")], user=[Number(column="age")])
      >>> [one.column for one in declared.user]
      ['age']
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    item: tuple[AnyFeature, ...] = ()
    user: tuple[AnyFeature, ...] = ()

    @field_validator("item", "user")
    @classmethod
    def _distinct(cls, features):
        names = [one.name for one in features]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"must have different names; {repeated[0]!r} occurs twice")
        return features
