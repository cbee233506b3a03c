"""Chooses the baselines for a data set."""

from tfrec_fusion.models.classic.classic_model import ClassicModel
from tfrec_fusion.models.classic.ease import EASE
from tfrec_fusion.models.classic.item_knn import ItemKNN
from tfrec_fusion.models.classic.personal_frequency import PersonalFrequency
from tfrec_fusion.models.classic.popularity import Popularity
from tfrec_fusion.models.classic.recent_popularity import RecentPopularity
from tfrec_fusion.models.classic.text_mean import TextMean
from tfrec_fusion.models.model import Model

_DENSE_ITEMS = 20_000
_TEXT_DIMS = 128
# Chosen on the validation period of retail.
_TREND = {"l2": 500.0, "event_half_life_days": 360.0, "trend_power": 0.6}


def default_baselines(train, *, without: Model | None = None) -> list[ClassicModel]:
    """Returns the unfitted baselines that apply to `train`, in the order for a table.

    `Popularity` and `ItemKNN` always; `PersonalFrequency` if repeated events count;
    `RecentPopularity` with timestamps; `EASE` up to 20,000 items (its matrix is dense); with
    vectors, also `TextMean` and `EASE` with the catalogue's first vector store; with timestamps, an
    `EASE` of recent events times the items' trend.

    Args:
      train: the training events.
      without: the model to compare with; a baseline of its class and options is left out.

    Example:
      >>> for baseline in default_baselines(split.train):
      ...     report = tff.evaluation.evaluate(baseline.fit(split.train), split)
    """
    store = next(iter(train.catalogue.vectors), None)
    dense = len(train.catalogue) <= _DENSE_ITEMS
    baselines: list[ClassicModel] = [Popularity()]
    if train.repeats == "all":
        baselines.append(PersonalFrequency())
    if train.timestamp is not None:
        baselines.append(RecentPopularity())
    baselines.append(ItemKNN())
    if dense:
        baselines.append(EASE())
    if store is not None:
        dims = train.catalogue.vectors[store].values.shape[1]
        baselines.append(TextMean(vectors=store, dims=min(_TEXT_DIMS, dims)))
        if dense:
            baselines.append(EASE(vectors=store, text_weight=20.0))
    if dense and train.timestamp is not None:
        text = {} if store is None else {"vectors": store, "text_weight": 20.0}
        baselines.append(EASE(**_TREND, **text))
    if without is None:
        return baselines
    same = type(without), without.config
    return [one for one in baselines if (type(one), one.config) != same]
