"""The learner from log to bundle: it resumes, it judges, and it respects who went back."""

import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from conftest import BUDGET, walk

from penchant.bundle import current, publish, verify
from training.evaluation.offline import open_bundle
from training.learning.cli import main
from training.learning.files import FOLDER, only_learner, read_checkpoint, read_hold
from training.learning.loop import Learner
from training.learning.rollback import roll_back
from training.learning.warm import Warm

EAGER = replace(BUDGET, tolerance=10.0)
"""Publishes whatever it learns."""
PROUD = replace(BUDGET, tolerance=-10.0)
"""Publishes nothing."""


def learner(log: Path, bundles: Path, data: Path | None = None, budget=EAGER) -> Learner:
    made = Learner(str(log), None, bundles, data, budget=budget, keep_bundles=3)
    made.start()
    return made


def pointed(bundles: Path) -> str:
    folder = current(bundles)
    assert folder is not None
    return folder.name


def test_an_update_publishes_a_whole_bundle_that_knows_what_is_new(
    tiny_data: Path, log: Path, own_bundles: Path
) -> None:
    first = pointed(own_bundles)
    made = learner(log, own_bundles, tiny_data)
    done = made.update()
    made.close()
    assert done.published
    assert done.bundle == pointed(own_bundles) != first
    manifest = verify(own_bundles / done.bundle)
    assert manifest.lineage["from"] == first
    assert manifest.lineage["position"] == 400
    assert manifest.schema_fingerprint == verify(own_bundles / first).schema_fingerprint
    opened = open_bundle(own_bundles / done.bundle)
    assert {"new"} <= set(opened.table.ids)
    assert manifest.item_count == verify(own_bundles / first).item_count + 1
    assert manifest.reference["event_types"]["click"] > 0
    assert Warm.read(own_bundles / done.bundle).ranker.tasks == manifest.tasks


def test_what_is_not_good_enough_leaves_no_trace_and_is_learned_with_the_next(
    tiny_data: Path, log: Path, own_bundles: Path
) -> None:
    first = pointed(own_bundles)
    made = learner(log, own_bundles, tiny_data, PROUD)
    done = made.update()
    assert not done.published
    assert done.verdict is not None
    assert done.verdict.reason.startswith("not published")
    assert pointed(own_bundles) == first
    assert {path.name for path in own_bundles.iterdir()} == {first, "CURRENT", FOLDER}
    walk(log, 60, 1, 60 * 400)
    made.read()
    assert made.update().new_events == done.new_events + 60
    made.close()


def test_equal_logs_and_seeds_give_equal_models(tiny_data: Path, log: Path, own_bundles: Path) -> None:
    embeddings = []
    first = pointed(own_bundles)
    for _ in range(2):
        made = learner(log, own_bundles, tiny_data)
        embeddings.append(open_bundle(own_bundles / made.update().bundle).table.embeddings.base.tobytes())
        made.close()
        publish(own_bundles, first)
        (own_bundles / FOLDER / "checkpoint.json").unlink()
    assert embeddings[0] == embeddings[1]


def test_it_goes_on_from_its_checkpoint_and_reads_nothing_twice(tiny_data: Path, log: Path, own_bundles: Path) -> None:
    made = learner(log, own_bundles, tiny_data)
    made.update()
    events = len(made.journal)
    made.close()
    walk(log, 200, 2, 60 * 400)
    again = learner(log, own_bundles)
    assert len(again.journal) == events + 200
    assert again.new_events == 200
    done = again.update()
    again.close()
    assert done.published
    assert 200 <= done.new_events <= 260, "the events that judged the first update are new to it as well"
    mark = read_checkpoint(own_bundles)
    assert mark is not None
    assert (mark.position, mark.updates, len(mark.published)) == (600, 2, 2)


KILLED = """
import os, signal, sys
from pathlib import Path
from dataclasses import replace
sys.path.insert(0, sys.argv[5])
from conftest import BUDGET
import training.learning.{module} as module
whole = module.{name}
def killed(*arguments, **named):
    {before}
    os.kill(os.getpid(), signal.SIGKILL)
module.{name} = killed
from training.learning.loop import Learner
made = Learner(sys.argv[1], None, Path(sys.argv[2]), Path(sys.argv[3]), budget=replace(BUDGET, tolerance=10.0))
made.start()
made.update()
"""
MOMENTS = {
    "before the pointer moves": ("update", "publish", "pass"),
    "after the pointer moved, before the checkpoint": ("loop", "write_checkpoint", "pass"),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_kill_9_at_any_moment_resumes(moment: str, tiny_data: Path, log: Path, own_bundles: Path) -> None:
    first = pointed(own_bundles)
    module, name, before = MOMENTS[moment]
    program = KILLED.format(module=module, name=name, before=before)
    arguments = [str(log), str(own_bundles), str(tiny_data), "", str(Path(__file__).parent)]
    died = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=120)
    assert died.returncode == -9, died.stderr
    moved = pointed(own_bundles) != first
    assert moved == moment.startswith("after")
    verify(own_bundles / pointed(own_bundles))
    made = learner(log, own_bundles, tiny_data)
    done = made.update()
    made.close()
    if moved:
        assert done.new_events < 100, "what the published bundle learned is not learned again"
    else:
        assert done.published
    mark = read_checkpoint(own_bundles)
    assert mark is not None
    assert mark.position == 400
    assert not list((own_bundles / FOLDER).glob("*.part"))


def test_after_a_roll_back_it_starts_there_and_waits_for_later_events(
    tiny_data: Path, log: Path, own_bundles: Path
) -> None:
    first = pointed(own_bundles)
    made = learner(log, own_bundles, tiny_data)
    assert made.update().published
    roll_back(own_bundles, None, datetime.now(UTC))
    assert pointed(own_bundles) == first
    held = made.update()
    assert not held.published
    assert "after the roll-back" in held.reason
    walk(log, 100, 3, 60 * 400)
    made.read()
    done = made.update()
    made.close()
    assert done.champion == first
    assert done.verdict is not None
    assert done.published == (done.verdict.interval[0] > 0), "surely better, or nothing"
    assert (read_hold(own_bundles) is None) == done.published


def test_the_pointer_moved_meanwhile_is_never_moved_back(
    tiny_data: Path, log: Path, own_bundles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = pointed(own_bundles)
    made = learner(log, own_bundles, tiny_data)
    second = made.update().bundle
    walk(log, 100, 3, 60 * 400)
    made.read()
    from training.learning import update

    real = update.judge

    def judge_while_a_person_goes_back(*arguments, **named):
        publish(own_bundles, first)
        return real(*arguments, **named)

    monkeypatch.setattr(update, "judge", judge_while_a_person_goes_back)
    done = made.update()
    made.close()
    assert done.champion == second
    assert not done.published
    assert f"moved to {first} meanwhile" in done.verdict.reason
    assert pointed(own_bundles) == first


def test_a_second_learner_and_bad_options_are_refused_in_a_sentence(
    log: Path, own_bundles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--log", str(log), "--bundles", str(own_bundles), "--once"]
    with only_learner(own_bundles):
        assert main(asked) == 2
    assert "another process learns in" in capsys.readouterr().err
    assert main(["--log", "ftp://x", "--bundles", str(own_bundles), "--once"]) == 2
    assert "names no log" in capsys.readouterr().err
    assert main(["--log", str(tmp_path / "none"), "--bundles", str(tmp_path / "empty"), "--once"]) == 2
    assert "holds no events to fit one on" in capsys.readouterr().err


def test_a_bundle_without_weights_is_refused_with_the_remedy(
    tiny_data: Path, log: Path, own_bundles: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (own_bundles / pointed(own_bundles) / "warm").iterdir():
        path.unlink()
    folder = own_bundles / pointed(own_bundles)
    (folder / "warm").rmdir()
    raw = json.loads((folder / "manifest.json").read_text())
    raw["files"] = {name: checksum for name, checksum in raw["files"].items() if not name.startswith("warm/")}
    (folder / "manifest.json").write_text(json.dumps(raw))
    assert main(["--log", str(log), "--bundles", str(own_bundles), "--data", str(tiny_data), "--once"]) == 2
    assert "keeps no weights to learn on from" in capsys.readouterr().err


def test_a_log_alone_is_enough_to_begin(log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundles = tmp_path / "fresh"
    assert main(["--log", str(log), "--bundles", str(bundles), "--recipe", "tiny", "--once"]) == 0
    output = capsys.readouterr()
    assert "no bundle is published" in output.err
    assert json.loads(output.out.splitlines()[-1])["published"] is False
    assert verify(bundles / pointed(bundles)).tasks == ("engage", "click")
