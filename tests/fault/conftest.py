"""What the fault tests share."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "services" / "feature_store"))

from store_world import penchant_plan

from penchant.features.plan import Plan


@pytest.fixture
def plan() -> Plan:
    """Of Penchant's own features."""
    return penchant_plan()
