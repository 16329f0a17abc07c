"""The policy: how placements make slates, and which types of events there are; a frozen value of one TOML file.

Pure: the text comes in, the policy goes out. Its version is the text's checksum and stands in every answer.
"""

import hashlib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from penchant.errors import ConfigError
from penchant.events import BUILT_IN, CODES, EVENT_TYPES, OWN_CODES_FROM, EventType, EventTypes
from penchant.retrieval.model import SOURCES

FORMAT = 1
DEFAULT_PLACEMENT = "default"
SELECTORS = ("top_k", "mmr")
RANKINGS = ("model", "retrieval")
MAX_CANDIDATES = 2000
MAX_WEIGHT = 100.0


@dataclass(frozen=True, slots=True)
class Placement:
    """How slates of one placement are made.

    selector: one of SELECTORS. trade_off in [0, 1]: mmr's weight of relevance against diversity; 1 is relevance
    alone. max_candidates 1 to 2000: how many are ranked. sources: empty means all. ranking: one of RANKINGS.
    deadline_ms: for requests that set none.
    """

    selector: str = "top_k"
    trade_off: float = 0.7
    max_candidates: int = 500
    sources: tuple[str, ...] = ()
    ranking: str = "model"
    deadline_ms: int = 250


@dataclass(frozen=True, slots=True)
class Policy:
    """Placements by name, and the checksum of the text they were read from."""

    version: str
    placements: Mapping[str, Placement] = field(default_factory=dict)
    event_types: EventTypes = BUILT_IN

    def placement(self, name: str) -> Placement:
        """The placement's own, or the default placement's for a name the policy does not know."""
        return self.placements.get(name, self.placements[DEFAULT_PLACEMENT])


def read_policy(text: str, file: str = "policy") -> Policy:
    """The policy of a TOML text. Raises ConfigError naming the file, the field and what it may be."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file} is no TOML: {error}") from None
    if raw.get("format") != FORMAT:
        raise ConfigError(f"{file}: format is {raw.get('format')!r}, this program reads format = {FORMAT}")
    _refuse_unknown(file, "", raw, ("format", "placements", "event_types"))
    tables = raw.get("placements", {})
    if not isinstance(tables, dict) or DEFAULT_PLACEMENT not in tables:
        raise ConfigError(f"{file}: [placements.{DEFAULT_PLACEMENT}] is missing: every policy needs one")
    base = _placement(file, DEFAULT_PLACEMENT, tables[DEFAULT_PLACEMENT], Placement())
    placements = {name: _placement(file, name, table, base) for name, table in tables.items()}
    version = hashlib.sha256(text.encode()).hexdigest()[:16]
    return Policy(version, placements, _event_types(file, raw.get("event_types", {})))


def check_succession(older: EventTypes, newer: EventTypes, file: str = "policy") -> None:
    """Raises ConfigError where a type of an older policy is gone or means something else: histories hold its code."""
    for name, was in older.by_name.items():
        now = newer.get(name)
        at = f"{file}: event_types.{name}"
        if now is None:
            raise ConfigError(
                f"{at} is gone, but histories hold its code {was.code}: leave it in and say retired = true"
            )
        for said in ("code", "in_history", "hides", "needs_item"):
            if getattr(now, said) != getattr(was, said):
                raise ConfigError(
                    f"{at}.{said} is {getattr(now, said)!r}, it was {getattr(was, said)!r}: what a type means stays; "
                    "retire it and give the new one a name and a code of its own"
                )


def _event_types(file: str, tables: Any) -> EventTypes:
    """The built-in types with their weights overridden, and the policy's own."""
    if not isinstance(tables, dict):
        raise ConfigError(f"{file}: event_types is {tables!r}, give tables such as [event_types.bookmark]")
    types = dict(EVENT_TYPES)
    owners = {kind.code: name for name, kind in EVENT_TYPES.items()}
    for name, table in tables.items():
        at = f"event_types.{name}"
        if not isinstance(table, dict):
            raise ConfigError(f"{file}: {at} is {table!r}, give a table")
        if name in EVENT_TYPES:
            _refuse_unknown(file, f"{at}.", table, ("weight",))
            weight = _number(file, f"{at}.weight", table.get("weight", types[name].weight), -MAX_WEIGHT, MAX_WEIGHT)
            types[name] = replace(types[name], weight=float(weight))
            continue
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,63}", name):
            raise ConfigError(f"{file}: {at}: name it in at most 64 of a-z, 0-9 and _, a letter first")
        _refuse_unknown(file, f"{at}.", table, ("code", "weight", "in_history", "hides", "needs_item", "retired"))
        code = table.get("code")
        if not isinstance(code, int) or isinstance(code, bool) or not OWN_CODES_FROM <= code < CODES:
            raise ConfigError(
                f"{file}: {at}.code is {code!r}, give a whole number from {OWN_CODES_FROM} to {CODES - 1} that is kept "
                "for this type for ever"
            )
        if code in owners:
            raise ConfigError(f"{file}: {at}.code is {code}, which is {owners[code]}'s: give a code of its own")
        owners[code] = name
        flags = {said: _flag(file, f"{at}.{said}", table.get(said, default)) for said, default in _FLAGS.items()}
        if flags["in_history"] and flags["hides"]:
            raise ConfigError(f"{file}: {at} is in_history and hides: it can be one of the two")
        weight = _number(file, f"{at}.weight", table.get("weight", 0.0), -MAX_WEIGHT, MAX_WEIGHT)
        types[name] = EventType(name, code, float(weight), **flags)
    return EventTypes(types)


_FLAGS = {"in_history": False, "hides": False, "needs_item": True, "retired": False}


def _flag(file: str, at: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ConfigError(f"{file}: {at} is {value!r}, it must be true or false")
    return value


def _placement(file: str, name: str, table: Any, base: Placement) -> Placement:
    """One placement's table; what it does not say is as in the default placement."""
    at = f"placements.{name}"
    if not isinstance(table, dict):
        raise ConfigError(f"{file}: {at} is {table!r}, give a table")
    _refuse_unknown(file, f"{at}.", table, Placement.__slots__)
    sources = table.get("sources", list(base.sources))
    if not isinstance(sources, list):
        raise ConfigError(f"{file}: {at}.sources is {sources!r}, give a list of {', '.join(SOURCES)}")
    return Placement(
        _one_of(file, f"{at}.selector", table.get("selector", base.selector), SELECTORS),
        float(_number(file, f"{at}.trade_off", table.get("trade_off", base.trade_off), 0, 1)),
        int(_number(file, f"{at}.max_candidates", table.get("max_candidates", base.max_candidates), 1, MAX_CANDIDATES)),
        tuple(_one_of(file, f"{at}.sources", source, SOURCES) for source in sources),
        _one_of(file, f"{at}.ranking", table.get("ranking", base.ranking), RANKINGS),
        int(_number(file, f"{at}.deadline_ms", table.get("deadline_ms", base.deadline_ms), 10, 60_000)),
    )


def _refuse_unknown(file: str, at: str, table: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for name in table:
        if name not in known:
            raise ConfigError(f"{file}: {at}{name} is not known; known are: {', '.join(known)}")


def _one_of(file: str, at: str, value: Any, known: tuple[str, ...]) -> str:
    if value not in known:
        raise ConfigError(f"{file}: {at} is {value!r}, it must be one of {', '.join(known)}")
    return str(value)


def _number(file: str, at: str, value: Any, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ConfigError(f"{file}: {at} is {value!r}, it must be a number in [{low}, {high}]")
    return value
