"""The measures of realism, on numbers known by hand, and on the generator against sets that are nothing like it."""

import json
from pathlib import Path

import numpy as np
import pytest

from training.data.generator import GeneratorSettings, generate
from training.data.generator.cli import main
from training.data.generator.realism import MEASURES, gini, learnable, measure, outside, sessions, top_share
from training.data.read import read_dataset

MINUTE_US = 60_000_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("realism") / "generated"
    generate(GeneratorSettings(users=300, items=1_500, events=20_000, days=25), out)
    return out


def test_gini_and_top_share_of_known_counts() -> None:
    assert gini(np.array([5, 5, 5, 5])) == pytest.approx(0.0)
    assert gini(np.array([0, 0, 0, 8])) == pytest.approx(0.75)
    assert gini(np.array([1, 3])) == pytest.approx(0.25)
    assert top_share(np.array([70, 20, 10]), 0.01) == pytest.approx(0.7)
    assert top_share(np.arange(1, 201), 0.01) == pytest.approx((200 + 199) / 20_100)


def test_sessions_end_after_half_an_hour_and_with_the_user() -> None:
    users = np.array([0, 0, 0, 0, 1], np.int32)
    times = np.array([0, 10, 41, 100, 101], np.int64) * MINUTE_US
    lengths, gaps, returns = sessions(users, times)
    assert lengths.tolist() == [2, 1, 1, 1]
    assert (gaps // MINUTE_US).tolist() == [10]
    assert (returns // MINUTE_US).tolist() == [31, 59]


def test_personal_history_is_worth_more_than_popularity(folder: Path) -> None:
    co_visitation, popularity = learnable(read_dataset(folder))
    assert co_visitation > 1.5 * popularity
    assert popularity > 10 / 1_500


def test_generated_popularity_and_sessions_are_within_those_of_public_sets(folder: Path) -> None:
    """The public sets' measures, as the generator's check gives them for ML-100k and latest-small."""
    real = [
        {
            "popularity_gini": 0.629, "top_1_percent_share": 0.0763, "events_per_user_median": 65.0,
            "events_per_user_spread": 10.6, "session_length_median": 11.0, "session_length_p90": 106.0,
            "gap_in_session_median_s": 0.0, "return_hours_median": 103.0, "return_hours_p90": 694.5,
            "co_visitation_over_popularity": 1.87,
        },
        {
            "popularity_gini": 0.716, "top_1_percent_share": 0.157, "events_per_user_median": 70.5,
            "events_per_user_spread": 16.7, "session_length_median": 2.0, "session_length_p90": 34.0,
            "gap_in_session_median_s": 9.0, "return_hours_median": 87.0, "return_hours_p90": 889.5,
            "co_visitation_over_popularity": 1.44,
        },
    ]  # fmt: skip
    measured = measure(read_dataset(folder))
    assert set(measured) == set(MEASURES) == set(real[0])
    assert outside(measured, real) == {}


def test_what_is_nothing_like_the_real_set_is_told(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uniform = "\n".join(f"u{n % 50} i{(7 * n) % 101}" for n in range(5_050))
    (tmp_path / "flat.txt").write_text(uniform)
    plot = tmp_path / "real.png"
    status = main(["--check", str(folder), "--against", str(tmp_path / "flat.txt"), "--plot", str(plot)])
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert status == 1
    assert "popularity_gini" in result["outside"]
    # A set without times has nothing to say of sessions.
    assert "session_length_median" not in result["outside"]
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert main(["--check", str(folder), "--against", str(folder)]) == 0


def test_a_check_needs_something_to_compare_with(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check", str(folder)]) == 2
    assert "--against" in capsys.readouterr().err
    assert main([]) == 2
    assert "--out" in capsys.readouterr().err
