"""What a newcomer reads holds: links lead somewhere, named make targets and modules exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_relative_link_leads_to_a_file(page: Path) -> None:
    text = page.read_text()
    links = re.findall(r"\]\(([^)#\s]+)", text) + re.findall(r'href="([^"#]+)"', text)
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_make_target_named_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z][\w-]*)`", page.read_text()))
    assert named <= targets


def test_no_page_or_source_names_a_path_of_one_machine() -> None:
    bad = re.compile(r"(?<![\w.])/(work|root|farm)/[A-Za-z0-9_.-]+")
    files = [
        p
        for s in ("penchant", "services", "training", "stack", "feature_repo", "k8s", "docs")
        for p in (ROOT / s).rglob("*")
    ]
    found = [
        str(p.relative_to(ROOT))
        for p in [*files, *ROOT.glob("*.md"), ROOT / "Makefile"]
        if p.is_file()
        and p.suffix in {".py", ".md", ".toml", ".yaml", ".proto", ""}
        and bad.search(p.read_text(errors="ignore"))
    ]
    assert not found
