import json

import pytest

from penchant.errors import ConfigError
from penchant.features.plan import Plan, PlannedFeature, PlannedView

FEATURE = PlannedFeature("v", "f", "float32[]", "01020304")
PLAN = Plan("p", "sha", {"v": PlannedView("v", "e", "e_id", 3600.0, "_ts:v", (FEATURE,))}, {"s": ("v:f",)}, {"w": "no"})


def test_a_plan_survives_its_file(tmp_path):
    PLAN.write(tmp_path / "deep" / "plan.json")
    assert Plan.read(tmp_path / "deep" / "plan.json") == PLAN
    assert PLAN.features == {"v:f": FEATURE}
    assert FEATURE.field_bytes == b"\x01\x02\x03\x04"


def test_the_key_prefix_is_feasts_entity_key_of_one_int64():
    expected = b"\x01\0\0\0" + b"\x02\0\0\0" + b"\x04\0\0\0e_id" + b"\x04\0\0\0" + b"\x08\0\0\0"
    assert PLAN.views["v"].key_prefix == expected


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (None, "is missing"),
        ("{", "is no JSON"),
        ("[]", "no plan of format 1"),
        ({"format": 2}, "no plan of format 1"),
        ({"views": 5}, "does not hold what a plan must"),
        ({"project": ...}, "does not hold what a plan must"),
    ],
)
def test_a_bad_plan_is_refused_with_the_remedy(tmp_path, change, said):
    path = tmp_path / "plan.json"
    if isinstance(change, dict):
        PLAN.write(path)
        raw = {**json.loads(path.read_text()), **change}
        path.write_text(json.dumps({name: value for name, value in raw.items() if value is not ...}))
    elif change is not None:
        path.write_text(change)
    with pytest.raises(ConfigError, match=f"{said}.*python -m feature_repo apply"):
        Plan.read(path)


def test_an_unknown_type_is_refused(tmp_path):
    path = tmp_path / "plan.json"
    PLAN.write(path)
    path.write_text(path.read_text().replace("float32[]", "complex"))
    with pytest.raises(ConfigError, match="complex"):
        Plan.read(path)
