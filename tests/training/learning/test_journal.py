"""What the learner takes from the log, and what it must not."""

from pathlib import Path

import numpy as np
import pytest
from learning_world import act, append, item, merge

from penchant.errors import LogError
from penchant.event_log import open_event_log
from penchant.ids import identity_key, key, keys
from penchant.media import PICTURE, SOUND, packed
from penchant.v1 import event_pb2, log_pb2
from training.data.dataset import Attributes
from training.data.read import read_dataset
from training.learning.described import extended
from training.learning.journal import Journal, View, slate_number
from training.learning.reading import LogFollower
from training.learning.records import decoded, identity


def read(folder: Path, journal: Journal | None = None) -> Journal:
    journal = Journal(None) if journal is None else journal
    follower = LogFollower(str(folder))
    follower.read(journal)
    follower.close()
    return journal


def told(view: View) -> list[tuple[str, str, str]]:
    data = view.dataset
    return [
        (data.user_ids[u], data.item_ids[i] if i >= 0 else "", data.event_types[t])
        for u, i, t in zip(data.events.users, data.events.items, data.events.types, strict=True)
    ]


def test_events_of_a_log_are_a_data_set_in_time_order(tmp_path: Path) -> None:
    append(tmp_path, [act("a", "x", at_s=5), act("b", "y", "like", at_s=1), act("a", "", "search", at_s=9)])
    view = read(tmp_path).view()
    assert told(view) == [("b", "y", "like"), ("a", "x", "click"), ("a", "", "search")]
    assert view.positions.tolist() == [2, 1, 3]
    assert view.dataset.tasks == {"click": "type == click", "like": "type == like"}


def test_what_was_agreed_to_for_personalisation_alone_never_trains(tmp_path: Path) -> None:
    append(
        tmp_path,
        [
            act("a", "x", consent=event_pb2.CONSENT_PERSONALISATION),
            act("b", "x", consent=event_pb2.CONSENT_NONE),
            act("c", "x", context={"evaluation": "1"}),
            act("d", "x", consent=event_pb2.CONSENT_FULL),
            act("e", "x", tenant="other"),
            act("f", "x"),
        ],
    )
    journal = read(tmp_path)
    assert [user for user, _, _ in told(journal.view())] == ["d", "f"]
    assert journal.withheld == {key("", user) for user in "abc"}
    assert journal.refused.counts == {"consent": 2, "evaluation": 1, "another tenant": 1}


def test_anonymous_and_device_ids_have_the_keys_that_serving_gives_them() -> None:
    for fields in ({"user_id": "u"}, {"anonymous_id": "u"}, {"device_id": "u"}):
        assert key("", identity(event_pb2.Event(**fields))) == identity_key("", **fields)


def test_a_merged_identity_s_acts_are_the_user_s_before_and_after(tmp_path: Path) -> None:
    append(
        tmp_path,
        [
            act("", "x", anonymous_id="s", at_s=1),
            act("a", "y", at_s=2),
            merge("a", anonymous_id="s"),
            act("", "z", anonymous_id="s", at_s=3),
            merge("b", anonymous_id="s"),  # A second merge of the same identity changes nothing,
            merge("s2", user_id="s2"),  # nor does a circle.
            merge("c", user_id="a"),
            act("", "w", anonymous_id="s", at_s=4),
        ],
    )
    journal = read(tmp_path)
    assert told(journal.view()) == [("c", i, "click") for i in "xyzw"]
    places = journal.user_places()
    assert {places[identity_key("", anonymous_id="s")], places[key("", "a")]} == {places[key("", "c")]}
    assert journal.merges()[key("", "c")] == 7


def test_a_withheld_identity_makes_whom_it_is_merged_into_withheld(tmp_path: Path) -> None:
    consent = event_pb2.CONSENT_PERSONALISATION
    append(tmp_path, [act("", "x", anonymous_id="s", consent=consent), act("a", "y"), merge("a", anonymous_id="s")])
    assert read(tmp_path).withholds(key("", "a"))


def test_written_items_bring_their_attributes_and_anew_the_newest(tiny_data: Path, tmp_path: Path) -> None:
    append(tmp_path, [item("new", title="Odd drama", genres=["drama"], price=3.0, maker="m9")], "items")
    append(tmp_path, [item("i1", title="Other", genres=["crime", "new"])], "items")
    journal = read(tmp_path, Journal(read_dataset(tiny_data)))
    items = journal.view().dataset.items
    place = journal.view().dataset.item_ids.index("new")
    assert (items.text["title"][place], items.multi["genres"][place]) == ("Odd drama", ("drama",))
    assert (items.numeric["price"][place], items.categorical["maker"][place]) == (3.0, "m9")
    first = journal.view().dataset.item_ids.index("i1")
    assert items.multi["genres"][first] == ("crime", "new")
    assert np.isnan(items.numeric["price"][first])


def test_files_of_written_items_are_media_like_those_of_the_base(tmp_path: Path) -> None:
    cover, jingle = packed(np.zeros(PICTURE, np.uint8)), packed(np.ones(SOUND, np.uint8))
    append(tmp_path, [item("a", cover=cover, jingle=jingle, kind="x"), item("b", kind="y")], "items")
    items = read(tmp_path).view().dataset.items
    assert items.image == {"cover": [cover, ""]}
    assert items.audio == {"jingle": [jingle, ""]}
    assert items.categorical == {"kind": ["x", "y"]}
    base = Attributes(image={"cover": ["/a.png", "/b.png"]}, audio={"jingle": ["", ""]})
    grown = extended(base, 3, {1: {"cover": cover}, 2: {"cover": "no file", "jingle": jingle}})
    assert grown.image == {"cover": ["/a.png", cover, ""]}
    assert grown.audio == {"jingle": ["", "", jingle]}
    assert grown.categorical == {}


def test_impressions_and_acts_share_the_slate_they_echo(tmp_path: Path) -> None:
    append(
        tmp_path,
        [
            act("a", "x", "impression", 1, recommendation_id="r", position=0),
            act("a", "y", "impression", 2, recommendation_id="r", position=1),
            act("a", "y", "click", 3, recommendation_id="r", position=1),
        ],
    )
    events = read(tmp_path).view().dataset.events
    assert events.impressions is not None
    assert events.slates is not None
    assert events.impressions.tolist() == [True, True, False]
    assert set(events.slates.tolist()) == {slate_number("r")}


def test_a_journal_is_the_same_after_it_was_saved(tiny_data: Path, tmp_path: Path) -> None:
    append(tmp_path / "log", [act("u1", "i3"), act("n", "new", at_s=4), merge("u2", user_id="n")])
    append(tmp_path / "log", [item("new", genres=["drama"])], "items")
    journal = read(tmp_path / "log", Journal(read_dataset(tiny_data)))
    journal.save(tmp_path / "saved")
    again = Journal.load(tmp_path / "saved")
    assert (again.position, again.item_position, again.tasks) == (3, 1, journal.tasks)
    for before, after in zip((journal.view(),), (again.view(),), strict=True):
        assert told(before) == told(after)
        assert before.positions.tolist() == after.positions.tolist()
        assert before.dataset.items.multi == after.dataset.items.multi
    append(tmp_path / "log", [act("n", "i5", at_s=9)])
    assert told(read(tmp_path / "log", again).view())[-1] == ("u2", "i5", "click")


def test_memory_is_bounded_but_histories_stay(tmp_path: Path) -> None:
    append(tmp_path, [act("old", f"i{n}", at_s=n) for n in range(250)])
    append(tmp_path, [act("busy", "x", "view", at_s=1000 + n) for n in range(300)])
    journal = read(tmp_path, Journal(None, keep_events=100))
    users = [user for user, _, _ in told(journal.view())]
    assert users.count("busy") == 100
    assert users.count("old") == 200
    assert journal.trimmed == 250


def test_a_newer_record_is_refused_with_what_to_do() -> None:
    with pytest.raises(LogError, match="run the newer program"):
        decoded(7, log_pb2.LogRecord(schema_version=2).SerializeToString())


def test_the_learner_holds_the_log_at_what_it_has_saved(tmp_path: Path) -> None:
    append(tmp_path, [act("a", "x")])
    follower = LogFollower(str(tmp_path))
    follower.hold(1, 0)
    assert open_event_log(str(tmp_path)).held("trainer") == 1
    assert keys("", ["a"]).shape == (1,)
