"""What the front door is made of: its table of contents."""

from collections.abc import Callable, Sequence

from penchant.errors import ConfigError
from penchant.leaves import FeatureLeaf, RankingLeaf, RetrievalLeaf
from penchant.segments import SegmentWriter
from services.recommender.catalogue import Catalogue
from services.recommender.config import FrontDoorSettings
from services.recommender.filters import (
    ExcludedFilter,
    HiddenFilter,
    NonReturnableFilter,
    SeenItemsFilter,
    UnavailableFilter,
)
from services.recommender.front_door import FrontDoor
from services.recommender.hydrators.item import ItemHydrator
from services.recommender.hydrators.user import UserHydrator
from services.recommender.pipeline import SideEffect, SlatePipeline
from services.recommender.scorers.ranker import RankerScorer
from services.recommender.side_effects.exposure import ExposureLog
from services.recommender.sources.candidate_gen import CandidateSource
from services.recommender.versions import BundleChoice
from services.recommender.wire import exposure_record


def assemble(
    features: FeatureLeaf,
    retrieval: RetrievalLeaf,
    ranking: RankingLeaf,
    choice: BundleChoice,
    catalogue_of: Callable[[str], Catalogue],
    side_effects: Sequence[SideEffect] = (),
) -> FrontDoor:
    """The front door over three leaves, however they are reached."""
    user = UserHydrator(features)
    pipeline = SlatePipeline(
        user_hydrator=user,
        source=CandidateSource(retrieval),
        item_hydrator=ItemHydrator(),
        filters=(
            NonReturnableFilter(),
            UnavailableFilter(),
            HiddenFilter(),
            ExcludedFilter(),
            SeenItemsFilter(),
        ),
        scorer=RankerScorer(ranking),
        side_effects=side_effects,
    )
    return FrontDoor(choice, catalogue_of, pipeline, user, retrieval)


def open_exposures(settings: FrontDoorSettings) -> ExposureLog | None:
    """The exposure log that the settings name. Raises LogError if another process holds it, ConfigError if not made."""
    if settings.exposures is None:
        return None
    # A sixteenth of the cap a segment: the oldest are dropped whole.
    segment_bytes = min(max(settings.exposure_bytes // 16, 1 << 16), 64 << 20)
    try:
        writer = SegmentWriter(settings.exposures, segment_bytes, fsync=False, max_bytes=settings.exposure_bytes)
    except OSError as error:
        raise ConfigError(
            f"exposures {settings.exposures} cannot be written ({error.strerror}): name another"
        ) from None
    return ExposureLog(writer, exposure_record)
