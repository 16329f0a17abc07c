"""Settings: a table a service, overrides from the environment, nothing unknown, no open door."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from penchant.errors import ConfigError
from services.candidate_gen.config import CandidateGenSettings
from services.ranker.config import RankerSettings
from services.runtime.config import ServerSettings, is_loopback, load


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_without_file_and_environment_the_defaults_hold() -> None:
    settings = load("ranker", RankerSettings, {})
    assert (settings.host, settings.port, settings.bundles) == ("127.0.0.1", 50053, Path("bundles"))


def test_the_file_in_the_folder_is_read_and_the_environment_wins(elsewhere: Path) -> None:
    (elsewhere / "penchant.toml").write_text('[ranker]\nport = 1234\ndrain_s = 2\n[candidate_gen]\nindex = "exact"\n')
    assert load("ranker", RankerSettings, {}).port == 1234
    settings = load("ranker", RankerSettings, {"PENCHANT_RANKER__PORT": "4321", "HOME": "/root"})
    assert (settings.port, settings.drain_s) == (4321, 2)
    assert load("candidate_gen", CandidateGenSettings, {}).index == "exact"


def test_another_file_is_named_by_the_environment(elsewhere: Path) -> None:
    file = elsewhere / "other.toml"
    file.write_text("[ranker]\nport = 7\n")
    assert load("ranker", RankerSettings, {"PENCHANT_CONFIG": str(file)}).port == 7
    with pytest.raises(ConfigError, match=r"missing\.toml cannot be read .*mend PENCHANT_CONFIG"):
        load("ranker", RankerSettings, {"PENCHANT_CONFIG": "missing.toml"})


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[rankr]\nport = 1\n", r"penchant\.toml: unknown name 'rankr': did you mean 'ranker'\?"),
        ("[ranker]\nprot = 1\n", r"penchant\.toml \[ranker\]: unknown name 'prot': did you mean 'port'\?"),
        ("[ranker]\nport = 70000\n", r"penchant\.toml \[ranker\] port: .*65535.*given: 70000"),
        ('[ranker]\nport = "x"\n', r"penchant\.toml \[ranker\] port: .*integer"),
        ("[ranker\n", r"penchant\.toml is no TOML"),
        ("ranker = 3\n", r"ranker must be a table"),
        ('[ranker]\nlog_level = "loud"\n', r"log_level: .*'debug'"),
    ],
)
def test_a_bad_file_is_named_with_the_remedy(elsewhere: Path, text: str, sentence: str) -> None:
    (elsewhere / "penchant.toml").write_text(text)
    with pytest.raises(ConfigError, match=sentence):
        load("ranker", RankerSettings, {})


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "PENCHANT_RANKER__PROT",
            r"unknown environment variable PENCHANT_RANKER__PROT: did you mean 'PENCHANT_RANKER__P",
        ),
        ("PENCHANT_RANKR__PORT", r"did you mean 'PENCHANT_RANKER__PORT'\?"),
        ("PENCHANT_RANKER_PORT", r"did you mean 'PENCHANT_RANKER__PORT'\?"),
        ("PENCHANT_CONFG", r"did you mean 'PENCHANT_CONFIG'\?"),
    ],
)
def test_an_unknown_variable_is_refused(name: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        load("ranker", RankerSettings, {name: "1"})


def test_what_is_for_others_is_left_to_them() -> None:
    others = {"PENCHANT_TOKEN": "x", "PENCHANT_STANDALONE__REDIS": "y", "PENCHANTED": "z"}
    assert load("ranker", RankerSettings, others) == RankerSettings()


def test_a_bad_override_is_named_as_the_variable() -> None:
    with pytest.raises(ConfigError, match=r"^PENCHANT_RANKER__PORT: .*given: 'x'"):
        load("ranker", RankerSettings, {"PENCHANT_RANKER__PORT": "x"})


OPEN = "is reachable from other machines"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.org"])
def test_a_door_to_other_machines_needs_tls_or_a_token_or_a_word(host: str) -> None:
    with pytest.raises(ConfigError, match=OPEN):
        load("ranker", RankerSettings, {"PENCHANT_RANKER__HOST": host})
    for opened in ({"TOKEN": "secret"}, {"ALLOW_INSECURE": "true"}, {"TLS_CERTIFICATE": "c", "TLS_KEY": "k"}):
        overrides = {f"PENCHANT_RANKER__{name}": value for name, value in {"HOST": host, **opened}.items()}
        assert load("ranker", RankerSettings, overrides).host == host


def test_metrics_do_not_leave_the_machine_unasked() -> None:
    with pytest.raises(ConfigError, match=OPEN):
        load(
            "ranker", RankerSettings, {"PENCHANT_RANKER__METRICS_HOST": "0.0.0.0", "PENCHANT_RANKER__METRICS_PORT": "9"}
        )


def test_half_a_key_pair_is_refused() -> None:
    with pytest.raises(ConfigError, match="go together"):
        load("ranker", RankerSettings, {"PENCHANT_RANKER__TLS_KEY": "k"})


@pytest.mark.parametrize(
    ("host", "closed"),
    [
        ("127.0.0.1", True),
        ("localhost", True),
        ("::1", True),
        ("[::1]", True),
        ("unix:penchant.sock", True),
        ("10.0.0.1", False),
    ],
)
def test_loopback_is_known(host: str, closed: bool) -> None:
    assert is_loopback(host) is closed


def test_settings_are_frozen_and_do_not_print_their_token() -> None:
    settings = ServerSettings(token="secret")
    with pytest.raises(ValidationError):
        settings.port = 3  # type: ignore[misc]
    assert "secret" not in repr(settings)


def test_an_error_does_not_print_the_token() -> None:
    tokens: Any = {"PENCHANT_RANKER__TOKEN": "secret", "PENCHANT_RANKER__PORT": "x"}
    with pytest.raises(ConfigError) as caught:
        load("ranker", RankerSettings, tokens)
    assert "secret" not in str(caught.value)
