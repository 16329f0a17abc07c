"""From the event and the item log to a journal, from where it stopped."""

from collections.abc import Iterator

from penchant.event_log import open_log_reader
from training.learning.journal import Journal
from training.learning.records import decoded

NAME = "trainer"
"""What the learner holds logs by, as `log_needed_by` of the feature store names it: a log that trims waits for it."""
_CHUNK = 20_000


class LogFollower:
    """Reads the logs at a URL, the feature store's `log` setting, into a journal."""

    def __init__(self, url: str) -> None:
        """Raises ConfigError for a URL that names no log."""
        self.events = open_log_reader(url)
        self.items = open_log_reader(url, "items")

    def read(self, journal: Journal, most: int = 0) -> int:
        """Take in what came since, at most about `most` event records (0: all); how many acts were among them.

        Raises LogError where records that the journal lacks were trimmed or are damaged.
        """
        for item in self.items.read(journal.item_position + 1):
            journal.add_items([decoded(*item)])
            journal.item_position = item[0]
        acts, read = 0, 0
        records = iter(self.events.read(journal.position + 1))
        while chunk := _chunk(records):
            acts += journal.add([decoded(position, payload) for position, payload in chunk])
            journal.position = chunk[-1][0]
            read += len(chunk)
            if most and read >= most:
                break
        return acts

    def hold(self, event_position: int, item_position: int) -> None:
        """Note in the logs that everything up to these positions is safe with the learner."""
        for reader, position in ((self.events, event_position), (self.items, item_position)):
            if position:
                reader.hold(NAME, position)

    def wait(self, position: int, timeout_s: float) -> bool:
        """Wait for an event record after a position."""
        return self.events.wait(position, timeout_s)

    def close(self) -> None:
        """Give the logs back."""
        self.events.close()
        self.items.close()


def _chunk(records: Iterator[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    chunk: list[tuple[int, bytes]] = []
    for record in records:
        chunk.append(record)
        if len(chunk) == _CHUNK:
            break
    return chunk
