import json

from benchmarks.event_log import KINDS, main


def test_every_kind_of_log_is_appended_to_and_read_back(capsys, tmp_path):
    assert main(["--seconds", "0.3", "--batch", "20", "--folder", str(tmp_path)]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(found) == set(KINDS)
    for measured in found.values():
        assert measured["appended"] % 20 == 0
        assert min(measured["appended_per_s"], measured["read_per_s"], measured["p50_ms"]) > 0
