"""What the online store holds of an entity, by Feast view. Names ending in _state must be aged by the reader."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StoredFeature:
    """One stored field: its Feast view, name and dtype ("int64", "int64[]", "float32[]", "float64[]", "string")."""

    view: str
    name: str
    dtype: str


STORED_USER_FEATURES: tuple[StoredFeature, ...] = (
    StoredFeature("user_sequences", "history_keys", "int64[]"),
    StoredFeature("user_sequences", "history_times", "int64[]"),
    StoredFeature("user_sequences", "history_types", "int64[]"),
    StoredFeature("user_sequences", "history_values", "float32[]"),
    StoredFeature("user_sequences", "seen_keys", "int64[]"),
    StoredFeature("user_sequences", "hidden_keys", "int64[]"),
    StoredFeature("user_counters", "counters_state", "float64[]"),
    StoredFeature("user_counters", "state_time_us", "int64"),
    StoredFeature("user_counters", "applied_position", "int64"),
    StoredFeature("user_attributes", "attributes_json", "string"),
    StoredFeature("user_lowered", "lowered_keys", "int64[]"),
    StoredFeature("user_lowered", "lowered_times", "int64[]"),
    StoredFeature("user_lowered", "lowered_types", "int64[]"),
    StoredFeature("user_text", "recent_texts_json", "string"),
    StoredFeature("user_identity", "merged_into", "int64"),
)

STORED_ITEM_FEATURES: tuple[StoredFeature, ...] = (
    StoredFeature("item_counters", "counters_state", "float64[]"),
    StoredFeature("item_counters", "state_time_us", "int64"),
    StoredFeature("item_counters", "applied_position", "int64"),
    StoredFeature("item_attributes", "item_id", "string"),
    StoredFeature("item_attributes", "attributes_json", "string"),
    StoredFeature("item_attributes", "created_us", "int64"),
    StoredFeature("item_attributes", "available", "int64"),
)
