"""Which items the candidates are, in the front door's own item table."""

from penchant.leaves import Retrieved
from services.recommender.query import Pool, Query


class ItemHydrator:
    """Adds own rows and keys to what was retrieved."""

    def hydrate(self, query: Query, retrieved: Retrieved, asked: int) -> Pool:
        """The candidates as a pool; `asked`: how many retrieval was asked for."""
        table = query.table
        rows = table.own_rows(retrieved.candidates)
        # A row this table does not have yet is an item nothing is known of here: row 0, which a filter removes.
        rows = rows * (rows < table.row_count)
        return Pool(
            retrieved.candidates, rows, table.keys_of(rows), retrieved.item_table_position, len(rows) < asked
        )  # fmt: skip
