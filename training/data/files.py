"""The rows of CSV and Parquet files, and where each row came from: every fault names its file and line."""

import csv
import gzip
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from penchant.errors import DataError

DELIMITERS = ",;\t|"
_BLOCK_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a CSV file is written; delimiter None: found from the header. quote "" reads quotes as they are."""

    delimiter: str | None = None
    quote: str = '"'


@dataclass(frozen=True, slots=True)
class Source:
    """Rows of one or several files, one after the other."""

    frame: pl.DataFrame
    paths: tuple[Path, ...]
    lengths: tuple[int, ...]
    dialects: tuple[Dialect, ...]
    lines: tuple[int, ...] | None = None
    """The line of each row, where the reader of a single file knows; otherwise it is looked up when needed."""

    def fault(self, row: int, column: str, reason: str) -> DataError:
        """The error for a row of the frame, with the file and the line it stands on."""
        if self.lines is not None:
            return DataError(str(self.paths[0]), reason, self.lines[row], column)
        for path, length, dialect in zip(self.paths, self.lengths, self.dialects, strict=True):
            if row < length:
                if path.suffix == ".parquet":
                    return DataError(str(path), f"row {row + 1}: {reason}", None, column)
                return DataError(str(path), reason, _line(path, dialect, row), column)
            row -= length
        return DataError(str(self.paths[-1]), reason, None, column)


def read_files(
    folder: Path, names: Sequence[str], dialect: Dialect, required: Mapping[str, str], optional: Mapping[str, str]
) -> Source:
    """Read the wanted columns of every file, all as text where the file is CSV.

    required: column to the key of dataset.toml that names it, in every file; optional: in at least one. A name may be
    a pattern such as "part-*.parquet". Raises DataError for a file that is missing or cannot be read.
    """
    paths = [path for name in names for path in _matches(folder, name)]
    frames, dialects, headers = [], [], []
    for path in paths:
        if path.suffix == ".parquet":
            frame, used = _read_parquet(path, [*required, *optional]), dialect
        else:
            try:
                used = Dialect(dialect.delimiter or _delimiter(path, {*required, *optional}), dialect.quote)
                frame = _read_csv(path, used)
            except (gzip.BadGzipFile, EOFError, zlib.error) as error:
                reason = f"cannot be unpacked as gzip ({error}): pack it again, or take .gz off its name"
                raise DataError(str(path), reason) from None
        for column, key in required.items():
            if column not in frame.columns:
                raise DataError(
                    str(path), f"has no column {column!r}, which {key} names; it has {frame.columns}", 1, column
                )
        headers.append(frame.columns)
        frames.append(frame.select(c for c in dict.fromkeys([*required, *optional]) if c in frame.columns))
        dialects.append(used)
    for column, key in optional.items():
        if not any(column in frame.columns for frame in frames):
            held = list(dict.fromkeys(name for names in headers for name in names))
            raise DataError(str(paths[0]), f"has no column {column!r}, which {key} names; it has {held}", 1, column)
    joined = frames[0] if len(frames) == 1 else pl.concat(_alike(frames), how="diagonal_relaxed")
    return Source(joined, tuple(paths), tuple(len(frame) for frame in frames), tuple(dialects))


def _matches(folder: Path, name: str) -> list[Path]:
    if any(mark in name for mark in "*?["):
        found = sorted(folder.glob(name))
        if not found:
            raise DataError(str(folder / name), "no file matches: check `files` in dataset.toml")
        return found
    if not (folder / name).is_file():
        raise DataError(str(folder / name), "no such file: check `files` in dataset.toml")
    return [folder / name]


def _alike(frames: list[pl.DataFrame]) -> list[pl.DataFrame]:
    """Columns that are text in one file are text in all."""
    texts = {c for frame in frames for c, dtype in frame.schema.items() if dtype == pl.String}
    return [frame.with_columns(pl.col(c).cast(pl.String) for c in frame.columns if c in texts) for frame in frames]


def _read_parquet(path: Path, wanted: Sequence[str]) -> pl.DataFrame:
    try:
        held = pl.read_parquet_schema(path)
        return pl.read_parquet(path, columns=[c for c in dict.fromkeys(wanted) if c in held] or list(held))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(str(path), f"cannot be read as Parquet: {str(error).splitlines()[0]}") from None


def _open(path: Path) -> TextIO:
    """Text of a CSV file, .gz too; undecodable bytes are kept as marks, for those who only look."""
    if path.suffix == ".gz":
        return gzip.open(path, "rt", newline="", encoding="utf-8-sig", errors="replace")
    return path.open(newline="", encoding="utf-8-sig", errors="replace")


def _delimiter(path: Path, wanted: set[str]) -> str:
    """The delimiter whose header holds most of the wanted columns, then most columns."""
    with _open(path) as file:
        header = file.readline()

    def found(delimiter: str) -> tuple[int, int]:
        cells = next(csv.reader([header], delimiter=delimiter), [])
        return len(wanted.intersection(cells)), len(cells)

    return max(DELIMITERS, key=found)


def _read_csv(path: Path, dialect: Dialect) -> pl.DataFrame:
    with path.open("rb") as file:
        if file.read(2) in (b"\xff\xfe", b"\xfe\xff"):
            raise DataError(str(path), "is UTF-16: save the file as UTF-8", 1)
    with _open(path) as file:
        header = next((row for row in _records(file, dialect) if row), None)
    if header is None:
        raise DataError(str(path), "the file is empty: give a header and at least one row", 1)
    if twice := [name for name in header if header.count(name) > 1]:
        raise DataError(str(path), f"the header holds {twice[0]!r} twice: rename one of them", 1, twice[0])
    try:
        table = pyarrow.csv.read_csv(
            path,
            read_options=pyarrow.csv.ReadOptions(block_size=_BLOCK_BYTES),
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=dialect.delimiter, quote_char=dialect.quote or False, newlines_in_values=bool(dialect.quote)
            ),
            convert_options=pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(header, pa.large_string())),
        )
    except (pa.ArrowInvalid, OSError) as error:
        raise _broken(path, dialect) or DataError(
            str(path), f"cannot be read as CSV: {str(error).splitlines()[0]}; set `delimiter` in dataset.toml"
        ) from None
    if dialect.quote and _odd_quotes(path, dialect.quote) and (fault := _broken(path, dialect)):
        raise fault
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame


def _odd_quotes(path: Path, quote: str) -> bool:
    """Quotes come in pairs where every quoted cell is closed: an odd one out calls for a closer look."""
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        return sum(block.count(quote.encode()) for block in iter(lambda: file.read(1 << 20), b"")) % 2 == 1


def _records(file: TextIO, dialect: Dialect, strict: bool = False) -> Iterator[list[str]]:
    csv.field_size_limit(1 << 30)
    delimiter = dialect.delimiter or ","
    if not dialect.quote:
        return csv.reader(file, delimiter=delimiter, quoting=csv.QUOTE_NONE, strict=strict)
    return csv.reader(file, delimiter=delimiter, quotechar=dialect.quote, strict=strict)


def _broken(path: Path, dialect: Dialect) -> DataError | None:
    """The first line that is no UTF-8, has other columns than the header, or opens a quote that is never closed."""
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                return DataError(str(path), f"byte {error.start + 1} is no UTF-8: save the file as UTF-8", number)
    started, width = 1, 0
    with _open(path) as file:
        reader: Any = _records(file, dialect, strict=True)
        try:
            for row in reader:
                width = width or len(row)
                if row and len(row) != width:
                    return DataError(
                        str(path), f"{len(row)} columns where the header has {width}: mend the line, or set "
                        "`delimiter` in dataset.toml", started,
                    )  # fmt: skip
                started = reader.line_num + 1
        except csv.Error:
            return DataError(
                str(path), "a quoted cell that starts here is not closed: close it, or set quote = \"\" in "
                "dataset.toml if quotes mean nothing here", started,
            )  # fmt: skip
    return None


def _line(path: Path, dialect: Dialect, row: int) -> int | None:
    """The line on which a data row starts, counted from 1 with the header; cells may hold line ends."""
    with _open(path) as file:
        reader: Any = _records(file, dialect)
        before, seen = 0, -1  # the header is row -1
        for cells in reader:
            if cells:
                if seen == row:
                    return before + 1
                seen += 1
            before = reader.line_num
    return None
