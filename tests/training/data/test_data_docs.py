"""docs/data.md says what the code does."""

import re
import tomllib
from pathlib import Path

import pytest
from described_shop import ISSUE_TOML, Shop

from penchant.events import EVENT_TYPES
from training.data.generator import cli
from training.data.toml_folder import _ENTITY_KEYS, _EVENT_KEYS

PAGE = (Path(__file__).parents[3] / "docs" / "data.md").read_text()


def section(title: str) -> str:
    return PAGE.split(f"### {title}\n")[1].split("\n#")[0]


def test_the_example_is_the_one_that_is_tested(shop: Shop) -> None:
    example = re.search(r"```toml\n(.*?)```", PAGE, re.S)
    assert example is not None
    assert tomllib.loads(example[1]) == tomllib.loads(ISSUE_TOML)


@pytest.mark.parametrize(("title", "keys"), [("[events]", _EVENT_KEYS), ("[items] and [users]", _ENTITY_KEYS)])
def test_every_key_is_on_the_page_and_no_other(title: str, keys: set[str]) -> None:
    first_cells = [line.split(" | ")[0] for line in section(title).splitlines() if line.startswith("| `")]
    assert set(re.findall(r"`(\w+)`", " ".join(first_cells))) == keys


def test_every_event_type_is_on_the_page() -> None:
    first_cells = [line.split(" | ")[0] for line in section("Event types").splitlines() if line.startswith("| `")]
    assert set(re.findall(r"`(\w+)`", " ".join(first_cells))) == set(EVENT_TYPES)


def test_every_option_of_the_generator_is_on_the_page() -> None:
    options = set(re.findall(r"--[a-z-]+", cli._parser().format_help())) - {"--help", "--exposures"}
    assert {o for o in options if o not in PAGE} == set()
