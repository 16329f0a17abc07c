import pytest

from penchant.errors import ConfigError
from services.feature_store.config import FeatureStoreSettings
from services.runtime.config import load


def settings(**fields: str) -> FeatureStoreSettings:
    names = {f"PENCHANT_FEATURE_STORE__{name.upper()}": value for name, value in fields.items()}
    return load("feature_store", FeatureStoreSettings, {"PENCHANT_CONFIG": "/dev/null", **names})


@pytest.mark.parametrize(
    "log", ["log", "/var/lib/log", "file:///var/lib/log", "redis://:secret@host:1/2?stream=x", "kafka://a:1,b:2/topic"]
)
def test_a_log_is_a_path_or_a_url(log):
    assert settings(log=log).log == log
    assert "secret" not in repr(settings(log=log))


@pytest.mark.parametrize("log", ["", "http://host/x", "redis://:secret@host:1/2?strem=x", "kafka://a:1"])
def test_a_log_of_another_form_is_refused_by_field_and_without_its_password(log):
    with pytest.raises(ConfigError, match=r"PENCHANT_FEATURE_STORE__LOG: .*write ") as caught:
        settings(log=log)
    assert "secret" not in str(caught.value)


def test_who_needs_the_log_is_refused_by_field():
    assert settings(log_needed_by="learner,backup").log_needed_by == "learner,backup"
    with pytest.raises(ConfigError, match=r"PENCHANT_FEATURE_STORE__LOG_NEEDED_BY: 'the learner' cannot hold a log"):
        settings(log_needed_by="learner,the learner")
