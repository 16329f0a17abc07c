"""Descriptions of small data sets, as dataset.toml holds them."""

from collections.abc import Callable

from training.data.dataset import Dataset

Shop = Callable[..., Dataset]

ISSUE_TOML = """\
name = "shop"
[events]
files = ["train.csv"]
delimiter = "\\t"
user = "user_id"
item = "item_id"
time = "time"
type = "purchase"
[items]
files = ["item_meta.csv"]
delimiter = "\\t"
id = "item_id"
categorical = ["i_category"]
"""


def events_toml(extra: str = "", files: str = '["e.csv"]', time: str = 'time = "t"', type_: str = "") -> str:
    """The smallest description of events, columns u, i and t."""
    return f'[events]\nfiles = {files}\nuser = "u"\nitem = "i"\n{time}\n{type_}\n{extra}\n'
