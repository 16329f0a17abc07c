"""Tables written piece by piece, as Parquet or CSV: memory does not grow with what is written."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq


class TableWriter:
    """One growing file; the first piece decides the columns. Closed without a piece, it leaves no file."""

    def __init__(self, path: Path, schema: Mapping[str, Any]) -> None:
        """schema: polars types by column."""
        self.path = path
        self.rows = 0
        self._schema = dict(schema)
        self._parquet: Any = None
        self._first = True
        if path.suffix == ".csv":
            path.write_text("")

    def write(self, columns: Mapping[str, Any]) -> None:
        """Append rows."""
        frame = pl.DataFrame(dict(columns), schema=self._schema)
        self.rows += len(frame)
        if self.path.suffix == ".csv":
            with self.path.open("ab") as file:
                frame.write_csv(file, include_header=self._first)
        else:
            table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
            if self._parquet is None:
                self._parquet = pq.ParquetWriter(self.path, table.schema, compression="zstd")
            self._parquet.write_table(table)
        self._first = False

    def close(self) -> None:
        """Finish the file; an empty table still gets its header."""
        if self._first:
            self.write({name: [] for name in self._schema})
        if self._parquet is not None:
            self._parquet.close()
