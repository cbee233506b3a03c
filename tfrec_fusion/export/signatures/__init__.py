"""The signatures of exports, one per file; add a new one to one of the lists here."""

from tfrec_fusion.export.signatures.audience import Audience
from tfrec_fusion.export.signatures.classify import Classify
from tfrec_fusion.export.signatures.explain import Explain
from tfrec_fusion.export.signatures.item_vector import ItemVector
from tfrec_fusion.export.signatures.ranker_default import RankerDefault
from tfrec_fusion.export.signatures.ranker_score import RankerScore
from tfrec_fusion.export.signatures.recommend import Recommend
from tfrec_fusion.export.signatures.recommend_history import RecommendHistory
from tfrec_fusion.export.signatures.recommend_user import RecommendUser
from tfrec_fusion.export.signatures.regress import Regress
from tfrec_fusion.export.signatures.score import Score
from tfrec_fusion.export.signatures.search import Search
from tfrec_fusion.export.signatures.search_text import SearchText
from tfrec_fusion.export.signatures.search_vector import SearchVector
from tfrec_fusion.export.signatures.serving_default import ServingDefault
from tfrec_fusion.export.signatures.similar import Similar
from tfrec_fusion.export.signatures.user_vector import UserVector

CATALOGUE_SIGNATURES = (
    ServingDefault,
    Recommend,
    RecommendUser,
    RecommendHistory,
    Score,
    UserVector,
    ItemVector,
    Similar,
    Audience,
    Explain,
    Search,
    SearchText,
    SearchVector,
)
"""For models that rank a catalogue; each export has those that `is_offered` allows."""

RANKER_SIGNATURES = (RankerDefault, RankerScore, Classify, Regress)
"""For models that score the items of a request."""
