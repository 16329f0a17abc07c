"""Cold items as the running service has them: written to a bundle, proposed by its sources, ranked by its ranker.

The slates are those of the functions that serve (training.evaluation.offline), or of a front door.
"""

import asyncio
import os
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penchant.client import Client
from penchant.errors import ConfigError
from penchant.ids import keys
from penchant.item_table import ItemChange
from penchant.media import packed
from penchant.types import Keys
from penchant.writes import ItemWrite
from training.catalogue import attributes_of
from training.content.held_out import Histories
from training.data.dataset import Dataset
from training.data.media_files import MEDIUM, read_files
from training.data.split import Split
from training.evaluation.door import ServerMismatchError, open_door
from training.evaluation.metrics import Lists
from training.evaluation.offline import OpenBundle, evaluate_offline
from training.evaluation.protocol import TENANT, TargetSet, target_set
from training.evaluation.through import evaluate_through

SYSTEMS = ("retrieval", "ranked")
K = 10
_MASK = "masked"
_BATCH = 200
_ARRIVAL_S = 60.0
"""How long a stack may take until what was written to it is everywhere."""

Told = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class AskedOf:
    """First acts on cold items, and the events on known ones that were held out, of whole users each."""

    dataset: Dataset
    cold: TargetSet
    warm: TargetSet
    cold_keys: Keys

    @classmethod
    def sampled(cls, dataset: Dataset, items: NDArray[np.int64], past: Histories, most: int, seed: int) -> "AskedOf":
        """At most so many targets of each kind; all with 0."""
        nothing = np.empty(0, np.int64)
        cut = Split("leave-one-out", nothing, nothing, nothing, nothing, 0)
        cold, warm = (
            target_set(dataset, replace(cut, test=np.sort(asked.events)), most, seed)
            for asked in (past.cold, past.last)
        )
        return cls(dataset, cold, warm, keys(TENANT, [dataset.item_ids[i] for i in items]))


@dataclass(frozen=True, slots=True)
class ServedLists:
    """By system: slates of the cold targets, of the warm ones, and of the warm ones before the cold items were
    written; as item keys [T, K].
    """

    cold: dict[str, Lists]
    warm: dict[str, Lists]
    before: dict[str, Lists]


def said_of(dataset: Dataset, items: NDArray[np.int64]) -> Iterator[dict[str, Any]]:
    """What is written of dataset items, files in the form that the service keeps, what is missing left out."""
    media = {name: MEDIUM[kind] for kind in MEDIUM for name in getattr(dataset.items, kind)}
    for i, attributes in zip(items.tolist(), attributes_of(dataset.items, items), strict=True):
        said = {name: _plain(value) for name, value in attributes.items()}
        for name in media.keys() & {name for name, value in said.items() if value}:
            (raw,) = read_files(media[name], [str(said[name])], [dataset.item_ids[i]])
            said[name] = "" if raw is None else packed(raw)
        # A number that is missing is not equal to itself.
        yield {name: value for name, value in said.items() if value not in ("", []) and value == value}


def _plain(value: Any) -> str | float | list[str]:
    if isinstance(value, str):
        return value
    return list(value) if isinstance(value, tuple) else float(value)


def written_to(bundle: OpenBundle, dataset: Dataset, items: NDArray[np.int64]) -> OpenBundle:
    """The bundle once these items have been written to its table, as the running service embeds them."""
    ids = [dataset.item_ids[i] for i in items]
    created = np.zeros(len(items), np.int64) if dataset.created_us is None else dataset.created_us[items]
    parts = zip(keys(TENANT, ids).tolist(), ids, said_of(dataset, items), created.tolist(), strict=True)
    changes = [
        ItemChange(position, key, id_, attributes=said, created_us=max(us, 0))
        for position, (key, id_, said, us) in enumerate(parts, 1)
    ]
    bundle.table.apply(changes, bundle.table.content_of(changes), bundle.embed)
    return replace(bundle, retrieval=bundle.retrieval.over(bundle.table))


def slates_offline(bundle: OpenBundle, asked: AskedOf, items: NDArray[np.int64], told: Told) -> ServedLists:
    """What the service would answer. The items stay in the bundle's table."""
    whole = 2 * len(asked.warm) + len(asked.cold)
    done = 0

    def count(some: int) -> None:
        nonlocal done
        done += some
        told(done / max(whole, 1))

    def lists(opened: OpenBundle, targets: TargetSet) -> dict[str, Lists]:
        nothing = np.empty(0, np.int64)
        cut = Split("", nothing, nothing, targets.events, targets.events, 0)
        slates, missing = evaluate_offline(opened, asked.dataset, cut, targets, SYSTEMS, progress=count, masks=(_MASK,))
        if missing:
            raise ConfigError(f"the bundle cannot rank cold items: {missing}")
        return {name: _keys(opened.table.keys_of, found) for name, found in slates[_MASK].items()}

    before = lists(bundle, asked.warm)
    opened = written_to(bundle, asked.dataset, items)
    return ServedLists(lists(opened, asked.cold), lists(opened, asked.warm), before)


def slates_through(
    address: str, bundles: Path, bundle: OpenBundle, asked: AskedOf, items: NDArray[np.int64], told: Told
) -> ServedLists:
    """What a stack answers that serves this bundle; the items are deleted there again.

    Raises ServerMismatchError where it serves another bundle or does not take the items, ConfigError where it cannot
    be reached.
    """
    token = os.environ.get("PENCHANT_TOKEN", "")

    def slates(opened: OpenBundle, targets: TargetSet, third: int) -> dict[str, Lists]:
        return asyncio.run(
            _through(address, bundles, opened, asked, targets, token, lambda done: told((third + done) / 3))
        )

    before = slates(bundle, asked.warm, 0)
    opened = written_to(bundle, asked.dataset, items)
    with _written_there(address, token, asked.dataset, items):
        return ServedLists(slates(opened, asked.cold, 1), slates(opened, asked.warm, 2), before)


@contextmanager
def _written_there(address: str, token: str, dataset: Dataset, items: NDArray[np.int64]) -> Iterator[None]:
    """The items are in the running stack's item tables inside, and deleted outside."""
    ids = [dataset.item_ids[i] for i in items]
    writes = [ItemWrite(item_id=i, attributes=s) for i, s in zip(ids, said_of(dataset, items), strict=True)]
    with Client(address, token=token) as client:
        try:
            position = _write(client, writes)
            until = time.monotonic() + _ARRIVAL_S
            while client.status().item_table_position < position:
                if time.monotonic() > until:
                    raise ServerMismatchError(f"the cold items did not arrive at {address} within {_ARRIVAL_S:g} s")
                time.sleep(0.2)
            yield
        finally:
            _write(client, [ItemWrite(item_id=i, deleted=True) for i in ids])


def _write(client: Client, writes: Sequence[ItemWrite]) -> int:
    """The item table's position that has them all. Raises ServerMismatchError if one is refused."""
    position = 0
    for start in range(0, len(writes), _BATCH):
        taken = client.write_items(writes[start : start + _BATCH])
        if taken.rejections:
            raise ServerMismatchError(f"the stack refused cold items, the first: {taken.rejections[0]}")
        position = taken.position
    return position


async def _through(
    address: str, bundles: Path, bundle: OpenBundle, asked: AskedOf, targets: TargetSet, token: str, told: Told
) -> dict[str, Lists]:
    done = 0

    def count(some: int) -> None:
        nonlocal done
        done += some
        told(done / max(len(targets), 1))

    async with open_door(address, bundles, asked.dataset, bundle.table, uuid.uuid4().hex[:8], token) as door:
        served = await evaluate_through(door, targets, count, (_MASK,))
    return {name: _keys(bundle.table.keys_of, found) for name, found in served.slates[_MASK].items()}


def _keys(keys_of: Callable[[Any], Keys], lists: Lists) -> Lists:
    """Item keys [T, K] of the first K rows; 0 where a list is shorter."""
    return np.asarray(keys_of(lists[:, :K].ravel()), np.int64).reshape(len(lists), -1)


def equal_slates(one: ServedLists, other: ServedLists) -> dict[str, float]:
    """By system: share of slates that are the same in both, item by item."""
    return {
        name: float(np.concatenate([(a[name] == b[name]).all(axis=1) for a, b in _pairs(one, other)]).mean())
        for name in SYSTEMS
    }


def _pairs(one: ServedLists, other: ServedLists) -> Sequence[tuple[dict[str, Lists], dict[str, Lists]]]:
    return ((one.cold, other.cold), (one.warm, other.warm), (one.before, other.before))
