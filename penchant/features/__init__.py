"""Feature definitions: said once, run by live ingestion and by training replay alike.

Pure: no wire, no I/O, no clock.
"""

from penchant.features.entity import ItemFeatures, UserFeatures, apply_to_users, state_of
from penchant.features.schema import FeatureSchema
from penchant.features.stored import STORED_ITEM_FEATURES, STORED_USER_FEATURES, StoredFeature

__all__ = [
    "STORED_ITEM_FEATURES",
    "STORED_USER_FEATURES",
    "FeatureSchema",
    "ItemFeatures",
    "StoredFeature",
    "UserFeatures",
    "apply_to_users",
    "state_of",
]
