"""dataset.toml, as written in the issue and in every variant its keys allow."""

import csv
import gzip
import io
import tempfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from described_shop import ISSUE_TOML, Shop, events_toml
from hypothesis import given, settings
from hypothesis import strategies as st

from penchant.errors import DataError
from training.data.read import read_dataset

EVENTS = "user_id\titem_id\ttime\n1\ta\t1700000000\n1\tb\t1700000100\n2\ta\t1700000050\n"
META = "item_id\ti_category\na\tshoes\nb\thats\nc\tcoats\n"


def test_the_issues_description_reads_as_written(shop: Shop) -> None:
    dataset = shop(ISSUE_TOML, train__csv=EVENTS, item_meta__csv=META)
    assert dataset.name == "shop"
    assert dataset.has_times
    assert dataset.event_types == ["purchase"]
    assert [dataset.user_ids[u] for u in dataset.events.users] == ["1", "2", "1"]
    assert [dataset.item_ids[i] for i in dataset.events.items] == ["a", "a", "b"]
    assert dataset.events.times.tolist() == [1_700_000_000_000_000, 1_700_000_050_000_000, 1_700_000_100_000_000]
    assert dataset.item_ids == ["a", "b", "c"]
    assert dataset.items.categorical["i_category"] == ["shoes", "hats", "coats"]
    assert np.isnan(dataset.events.values).all()
    assert dataset.tasks == {}


def test_without_time_the_file_gives_the_order_and_repeats_stay(shop: Shop) -> None:
    toml = ISSUE_TOML.replace('time = "time"\n', "")
    dataset = shop(toml, train__csv="user_id\titem_id\n1\ta\n2\ta\n1\ta\n1\tb\n", item_meta__csv=META)
    assert not dataset.has_times
    assert dataset.events.times.tolist() == [1_000_000, 2_000_000, 3_000_000, 4_000_000]
    assert "duplicates_dropped" not in dataset.counts


def test_without_time_a_file_sorted_by_user_gives_each_user_a_clock_of_their_own(shop: Shop) -> None:
    toml = ISSUE_TOML.replace('time = "time"\n', "")
    dataset = shop(toml, train__csv="user_id\titem_id\n1\ta\n1\tb\n1\tc\n2\ta\n2\tb\n", item_meta__csv=META)
    by_user = {u: dataset.events.times[dataset.events.users == u].tolist() for u in (0, 1)}
    assert by_user == {0: [1_000_000, 2_000_000, 3_000_000], 1: [1_000_000, 2_000_000]}


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(shop: Shop, mark: str) -> None:
    header, row = mark.join(["u", "i", "t", "remark, with; others|in\tit"[:6]]), mark.join(["1", "a", "5", "x"])
    assert len(shop(events_toml(), e__csv=f"{header}\n{row}\n").events) == 1


def test_types_values_and_tasks_come_from_columns(shop: Shop) -> None:
    toml = (
        events_toml(
            'value = { column = "rating" }\ntypes = { buy = "purchase", seen = "ignore" }',
            type_='type = { column = "event" }',
        )
        + '[tasks]\nlike = "value >= 4"\nbought = "type == purchase"\n'
    )
    dataset = shop(toml, e__csv="u,i,t,event,rating\n1,a,1,click,\n1,b,2,buy,5\n2,a,3,rating,2.5\n2,b,4,seen,\n")
    assert [dataset.event_types[t] for t in dataset.events.types] == ["click", "purchase", "rating"]
    np.testing.assert_array_equal(dataset.events.values, np.array([np.nan, 5.0, 2.5], np.float32))
    assert dataset.counts["ignored_type"] == 1
    assert dataset.tasks == {"like": "value >= 4", "bought": "type == purchase"}


def test_value_may_be_named_without_a_table(shop: Shop) -> None:
    assert shop(events_toml('value = "v"'), e__csv="u,i,t,v\n1,a,1,3\n").events.values.tolist() == [3.0]


def test_every_kind_of_attribute(shop: Shop, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "a.png").write_bytes(b"png")
    (tmp_path / "a.wav").write_bytes(b"wav")
    toml = (
        events_toml()
        + """
[items]
files = ["m.csv"]
id = "id"
categorical = ["kind"]
multi = [{ column = "genres", separator = ";" }, "tags"]
numeric = ["price"]
text = ["title"]
image = ["picture"]
audio = ["sound"]
created = "born"
[users]
files = ["p.csv"]
id = "who"
categorical = ["land"]
numeric = ["age"]
"""
    )
    dataset = shop(
        toml,
        e__csv="u,i,t\n1,a,1\n1,b,2\n",
        m__csv="id,kind,genres,tags,price,title,picture,sound,born\n"
        'a,x,Drama; Comedy;Drama,p|q,1.5,"Hello, ""you""",a.png,a.wav,2026-01-05\n'
        "b,,,,,,gone.png,,\n",
        p__csv="who,land,age\n1,DE,30\n7,FR,\n",
    )
    items = dataset.items
    assert items.categorical == {"kind": ["x", ""]}
    assert items.multi == {"genres": [("Drama", "Comedy"), ()], "tags": [("p", "q"), ()]}
    assert items.numeric["price"][0] == 1.5
    assert np.isnan(items.numeric["price"][1])
    assert items.text == {"title": ['Hello, "you"', ""]}
    assert items.image == {"picture": [str((tmp_path / "a.png").resolve()), ""]}
    assert items.audio == {"sound": [str((tmp_path / "a.wav").resolve()), ""]}
    assert dataset.counts["image_files_missing"] == 1
    assert [r.getMessage() for r in caplog.records] == ["b: gone.png is not there; it goes without this picture"]
    assert dataset.created_us is not None
    assert dataset.created_us.tolist() == [1_767_571_200_000_000, 0]
    assert dataset.users.categorical == {"land": ["DE"]}
    assert dataset.users.numeric["age"].tolist() == [30.0]
    assert dataset.counts["users_without_events"] == 1


def test_ids_stay_text(shop: Shop) -> None:
    huge = "123456789012345678901234567890"
    dataset = shop(events_toml(), e__csv=f"u,i,t\n007,0x1,1\n{huge},1e5,2\nNone,Zoë 🦊,3\n")
    assert dataset.user_ids == ["007", huge, "None"]
    assert dataset.item_ids == ["0x1", "1e5", "Zoë 🦊"]


def test_ids_are_stripped_in_events_and_attributes_alike(shop: Shop) -> None:
    toml = events_toml() + '[items]\nfiles = ["m.csv"]\nid = "id"\ncategorical = ["kind"]\n'
    dataset = shop(toml, e__csv="u,i,t\n1, a b ,1\n", m__csv="id,kind\na b ,x\n")
    assert dataset.item_ids == ["a b"]
    assert dataset.items.categorical["kind"] == ["x"]


def test_the_last_row_of_an_item_counts(shop: Shop) -> None:
    toml = events_toml() + '[items]\nfiles = ["m.csv"]\nid = "id"\ncategorical = ["kind"]\n'
    dataset = shop(toml, e__csv="u,i,t\n1,a,1\n", m__csv="id,kind\na,old\n,none\na,new\n")
    assert dataset.items.categorical["kind"] == ["new"]
    assert (dataset.counts["items_repeated"], dataset.counts["items_without_id"]) == (1, 1)


def test_parquet_ids_of_numbers_match_text_ids(tmp_path: Path) -> None:
    # A column of whole numbers with a gap is written as floats by many programs: 7.0 is still item 7.
    pl.DataFrame({"u": [1, 2, 3], "i": [7.0, None, 8.0], "t": [1, 2, 3]}).write_parquet(tmp_path / "e.parquet")
    pl.DataFrame({"id": ["7", "8"], "tags": [["x", "y"], []]}).write_parquet(tmp_path / "m.parquet")
    toml = events_toml(files='["e.parquet"]') + '[items]\nfiles = ["m.parquet"]\nid = "id"\nmulti = ["tags"]\n'
    (tmp_path / "dataset.toml").write_text(toml)
    dataset = read_dataset(tmp_path)
    assert [dataset.item_ids[i] for i in dataset.events.items] == ["7", "8"]
    assert dataset.counts["missing_item"] == 1
    assert dataset.items.multi["tags"] == [("x", "y"), ()]


def test_several_files_and_patterns_are_read_one_after_the_other(shop: Shop, tmp_path: Path) -> None:
    pl.DataFrame({"u": [9], "i": [1], "t": [3], "extra": [0]}).write_parquet(tmp_path / "last.parquet")
    dataset = shop(
        events_toml(files='["part-*.csv", "last.parquet"]'),
        **{"part-1__csv": "u,i,t\n1,a,1\n", "part-2__csv": "i;u;t\nb;2;2\n"},
    )
    assert dataset.user_ids == ["1", "2", "9"]
    assert dataset.item_ids == ["a", "b", "1"]


def test_bom_crlf_blank_lines_and_quoted_delimiters(shop: Shop) -> None:
    raw = b'\xef\xbb\xbfu,i,t\r\n1,"a,b",1\r\n\r\n2,"c\r\nd",2\r\n\r\n'
    dataset = shop(events_toml(), e__csv=raw)
    assert dataset.user_ids == ["1", "2"]
    assert dataset.item_ids == ["a,b", "c\r\nd"]
    assert dataset.counts["rows_read"] == 2


def test_quotes_that_mean_nothing_are_read_with_an_empty_quote(shop: Shop) -> None:
    dataset = shop(events_toml('quote = ""\ndelimiter = "\\t"'), e__csv='u\ti\tt\n1\t"Cats\t1\n2\t12" vinyl\t2\n')
    assert dataset.item_ids == ['"Cats', '12" vinyl']


def test_gzip(shop: Shop) -> None:
    import gzip

    raw = gzip.compress(b"u,i,t\n1,a,1\n")
    assert len(shop(events_toml(files='["e.csv.gz"]'), **{"e__csv__gz": raw}).events) == 1


def test_impressions_slates_sessions_and_texts(shop: Shop) -> None:
    extra = 'text = "q"\nslate = "s"\nslate_position = "p"\nsession = "z"'
    rows = "u,i,t,e,q,s,p,z\n1,a,1,impression,,x,0,k\n1,b,2,view,,x,1,k\n1,b,3,click,,x,1,k\n"
    rows += "1,,4,search,red shoes,,,k\n1,c,5,view,,,,\n"
    events = shop(events_toml(extra, type_='type = { column = "e" }'), e__csv=rows).events
    assert events.impressions is not None
    assert events.slates is not None
    assert events.sessions is not None
    assert events.slate_positions is not None
    assert events.texts is not None
    assert events.impressions.tolist() == [True, True, False, False, False]
    assert events.slates.tolist() == [0, 0, 0, -1, -1]
    assert events.slate_positions.tolist() == [0, 1, 1, -1, -1]
    assert events.sessions.tolist() == [0, 0, 0, 0, -1]
    assert events.texts.tolist() == ["", "", "", "red shoes", ""]
    assert events.items[3] == -1
    taken = events.take(np.array([3, 0]))
    assert (taken.slates.tolist(), taken.sessions.tolist(), taken.texts.tolist()) == (
        [-1, 0],
        [0, 0],
        ["red shoes", ""],
    )


def test_a_dataset_without_a_name_is_named_as_its_folder(shop: Shop, tmp_path: Path) -> None:
    assert shop(events_toml(), e__csv="u,i,t\n1,a,1\n").name == tmp_path.name


# What is wrong, where it says it is, and what to do.
WRONG = [
    ("bad number", 'value = "v"', "u,i,t,v\n1,a,1,4\n1,b,2,four\n", "e.csv", 3, "v", "'four' is no number"),
    ("bad time", "", "u,i,t\n1,a,1\n1,b,soon\n", "e.csv", 3, "t", "'soon' is no time"),
    ("no such day", "", "u,i,t\n1,a,2026-02-28\n1,b,2026-02-30\n", "e.csv", 3, "t", "ISO 8601"),
    ("after a quoted line end", "", 'u,i,t\n1,"a\nb\nc",1\n\n1,b,soon\n', "e.csv", 6, "t", "'soon' is no time"),
    ("short line", "", "u,i,t\n1,a,1\n1,b\n", "e.csv", 3, None, "2 columns where the header has 3"),
    ("long line", "", "u,i,t\n1,a,1\n1,b,2,9\n", "e.csv", 3, None, "4 columns where the header has 3"),
    ("open quote", "", 'u,i,t\n1,a,1\n1,"b,2\n2,c,3\n', "e.csv", 3, None, "not closed"),
    ("missing column", "", "u,item,t\n1,a,1\n", "e.csv", 1, "i", "events.item"),
    ("a column twice", "", "u,i,t,t\n1,a,1,1\n", "e.csv", 1, "t", "twice"),
    ("empty file", "", "", "e.csv", 1, None, "empty"),
    ("only a header", "", "u,i,t\n", None, None, None, "a header and no rows"),
    ("nothing usable", "", "u,i,t\n,a,1\n", None, None, None, "missing_user"),
    ("slate position", 'slate_position = "p"', "u,i,t,p\n1,a,1,-4\n", "e.csv", 2, "p", "slate position -4"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("extra", "csv", "file", "line", "column", "says"), [w[1:] for w in WRONG], ids=[w[0] for w in WRONG]
)
def test_a_bad_file_is_named_with_line_column_and_remedy(
    shop: Shop, extra: str, csv: str, file: str | None, line: int | None, column: str | None, says: str
) -> None:
    with pytest.raises(DataError) as caught:
        shop(events_toml(extra), e__csv=csv)
    error = caught.value
    assert file is None or Path(error.file).name == file
    assert (error.line, error.column) == (line, column)
    assert says in error.reason
    if line is not None:
        assert f"{file}:{line}" in str(error)


def test_no_utf8_names_the_line(shop: Shop) -> None:
    with pytest.raises(DataError, match="UTF-8") as caught:
        shop(events_toml(), e__csv=b"u,i,t\n1,a,1\n1,caf\xe9,2\n")
    assert caught.value.line == 3


def test_utf16_is_told(shop: Shop) -> None:
    with pytest.raises(DataError, match="is UTF-16"):
        shop(events_toml(), e__csv="u,i,t\n1,a,1\n".encode("utf-16"))


CELL = st.text(st.sampled_from('ab ,"\n'), max_size=6).map(lambda text: f"x{text}y")


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(CELL, CELL, st.booleans()), min_size=1, max_size=12),
    st.integers(0, 11),
    st.sampled_from(["\n", "\r\n"]),
)
def test_the_line_of_a_fault_is_where_its_row_starts(rows: list, bad: int, end: str) -> None:
    """Whatever line ends, quotes, blank lines and dropped rows come before it."""
    text, line = io.StringIO(newline=""), 0
    writer = csv.writer(text, lineterminator=end)
    writer.writerow(["u", "i", "t"])
    for n, (user, item, blank_before) in enumerate(rows):
        text.write(end if blank_before else "")
        if n == bad % len(rows):
            line = text.getvalue().count("\n") + 1
        writer.writerow([user if n % 3 else "", item, "never" if n == bad % len(rows) else "5"])
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "dataset.toml").write_text(events_toml())
        (Path(folder) / "e.csv").write_text(text.getvalue(), newline="")
        with pytest.raises(DataError, match="'never' is no time") as caught:
            read_dataset(Path(folder))
    assert caught.value.line == line


def test_an_unknown_type_names_its_line_and_how_to_map_it(shop: Shop) -> None:
    with pytest.raises(DataError, match=r'types = \{ zap = "\.\.\." \}') as caught:
        shop(events_toml(type_='type = { column = "e" }'), e__csv="u,i,t,e\n1,a,1,click\n1,b,2,zap\n")
    assert (caught.value.line, caught.value.column) == (3, "e")


def test_the_second_of_several_files_is_named(shop: Shop) -> None:
    with pytest.raises(DataError) as caught:
        shop(events_toml(files='["a.csv", "b.csv"]'), a__csv="u,i,t\n1,a,1\n1,b,2\n", b__csv="t,u,i\n3,1,c\nx,1,d\n")
    assert Path(caught.value.file).name == "b.csv"
    assert (caught.value.line, caught.value.column) == (3, "t")
    with pytest.raises(DataError) as caught:
        shop(events_toml(files='["a.csv", "b.csv"]'), a__csv="u,i,t\n1,a,1\n", b__csv="user,i,t\n1,a,1\n")
    assert Path(caught.value.file).name == "b.csv"


def test_dropped_rows_before_a_bad_one_do_not_move_its_line(shop: Shop) -> None:
    with pytest.raises(DataError) as caught:
        shop(events_toml('value = "v"'), e__csv="u,i,t,v\n,a,1,1\n,a,1,1\n1,b,1,bad\n")
    assert caught.value.line == 4


def test_a_bad_number_of_an_item_names_its_file(shop: Shop) -> None:
    toml = events_toml() + '[items]\nfiles = ["m.csv"]\nid = "id"\nnumeric = ["price"]\n'
    with pytest.raises(DataError, match="decimals take a point") as caught:
        shop(toml, e__csv="u,i,t\n1,a,1\n", m__csv='id,price\na,1\na,"3,5"\n')
    assert (Path(caught.value.file).name, caught.value.line, caught.value.column) == ("m.csv", 3, "price")


def test_parquet_faults_name_the_row(tmp_path: Path) -> None:
    pl.DataFrame({"u": [1, 2], "i": [1, 2], "t": ["1", "x"]}).write_parquet(tmp_path / "e.parquet")
    (tmp_path / "dataset.toml").write_text(events_toml(files='["e.parquet"]'))
    with pytest.raises(DataError, match="row 2: 'x' is no time"):
        read_dataset(tmp_path)
    (tmp_path / "e.parquet").write_bytes(b"PAR1 nonsense")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        read_dataset(tmp_path)


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ("name = ", "no valid TOML"),
        ('name = "x"', r"needs an \[events\] table"),
        ("[events]\nfiles = ['e.csv']\nuser = 'u'", "needs item"),
        ("[events]\nuser = 'u'\nitem = 'i'", "needs files"),
        (events_toml(files="[]"), "needs files"),
        (events_toml(files='["gone.csv"]'), "no such file"),
        (events_toml(files='["gone-*.csv"]'), "no file matches"),
        (events_toml('speed = "x"'), "does not know"),
        (events_toml('delimiter = "::"'), "one ASCII character"),
        (events_toml('delimiter = "ü"'), "one ASCII character"),
        (events_toml('quote = "ü"'), "one ASCII character"),
        (events_toml('quote = "\\n"'), "one ASCII character"),
        (events_toml(type_='type = { kolumn = "t" }'), "events.type does not know .'kolumn'."),
        (events_toml('value = { column = "t", separator = "," }'), "events.value does not know .'separator'."),
        (events_toml('value = "rating"'), r"'rating', which events.value names; it has \['u', 'i', 't'\]"),
        (events_toml('text = "words"'), r"it has \['u', 'i', 't'\]"),
        (events_toml() + "[items]\nfiles = ['e.csv']\nid = 'i'\nmulti = [{ col = 't' }]\n", "does not know .'col'."),
        (events_toml("user_id = 3"), "does not know"),
        (events_toml(type_="type = 3"), "events.type"),
        (events_toml(type_='type = "zap"'), "'zap'"),
        (events_toml('types = { a = "zap" }'), "'zap'"),
        (events_toml() + "[tasks]\nx = 'value > '\n", "task rule"),
        (events_toml() + "[tasks]\nx = 'value > 3'\n", "name their column"),
        (events_toml() + "[tasks]\nx = 'type == klick'\n", "klick"),
        (events_toml() + "[items]\nfiles = ['e.csv']\n", "needs id"),
        (events_toml() + "[items]\nfiles = ['e.csv']\nid = 'i'\ntext = ['t']\nnumeric = ['t']\n", "twice"),
        (events_toml() + "[items]\nfiles = ['e.csv']\nid = 'i'\ntext = ['zz']\n", "'zz'"),
    ],
)
def test_a_bad_description_is_refused(shop: Shop, toml: str, says: str) -> None:
    with pytest.raises(DataError, match=says):
        shop(toml, e__csv="u,i,t\n1,a,1\n")


@pytest.mark.parametrize("content", [b"u,i,t\n1,a,1\n", gzip.compress(b"u,i,t\n" + b"1,a,1\n" * 9)[:-12]])
def test_a_gz_file_that_cannot_be_unpacked_is_named(shop: Shop, content: bytes) -> None:
    with pytest.raises(DataError, match="cannot be unpacked as gzip") as caught:
        shop(events_toml(files='["e.csv.gz"]'), e__csv__gz=content)
    assert "e.csv.gz" in str(caught.value)


def test_what_was_dropped_is_told_where_nothing_is_left(shop: Shop) -> None:
    with pytest.raises(DataError, match=r"no usable event is left \(rows_read 1, missing_user 1\)"):
        shop(events_toml(), e__csv="u,i,t\n,a,1\n")
