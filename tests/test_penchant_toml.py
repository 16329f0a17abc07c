"""penchant.toml at the root names every setting of every service with its default, and nothing else."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from services.candidate_gen.config import CandidateGenSettings
from services.feature_store.config import FeatureStoreSettings
from services.ranker.config import RankerSettings
from services.recommender.config import RecommenderSettings
from services.runtime.config import SERVICES, ServerSettings, load
from services.standalone.config import StandaloneSettings

FILE = Path(__file__).parent.parent / "penchant.toml"
CLASSES: dict[str, type[ServerSettings]] = {
    "recommender": RecommenderSettings,
    "candidate_gen": CandidateGenSettings,
    "ranker": RankerSettings,
    "feature_store": FeatureStoreSettings,
    "standalone": StandaloneSettings,
}
EXAMPLES = {"policy", "tls_certificate", "tls_key", "leaf_ca", "feature_store_ca", "feast_repository", "other_plan"}
"""Settings without a default that could be written down: any value serves as an example."""


def stated() -> tuple[dict[str, Any], dict[str, Any]]:
    """What the comments say: settings of every service, and of each by table."""
    shared, _, tables = FILE.read_text().partition("\n\n")
    uncommented = re.sub(r"(?m)^# (?=\w+ = )", "", tables)
    return tomllib.loads("\n".join(re.findall(r"(?m)^#   (\w+ = .*)$", shared))), tomllib.loads(uncommented)


def test_there_is_a_table_for_every_service() -> None:
    assert set(stated()[1]) == set(SERVICES) == set(CLASSES)


@pytest.mark.parametrize("service", SERVICES)
def test_every_setting_is_there_with_its_default(service: str) -> None:
    shared, tables = stated()
    told = {**shared, **tables[service]}
    settings = CLASSES[service]
    assert set(told) == set(settings.model_fields), "name every setting of the service in penchant.toml"
    for name, value in told.items():
        if name not in EXAMPLES:
            default = settings.model_fields[name].default
            assert value == (str(default) if isinstance(default, Path) else default), name


@pytest.mark.parametrize("service", SERVICES)
def test_the_file_as_it_is_gives_the_defaults(service: str) -> None:
    assert load(service, CLASSES[service], {"PENCHANT_CONFIG": str(FILE)}) == CLASSES[service]()
