"""The generated code is what the protos say: regenerated in a scratch folder and compared byte for byte."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_generated_code_is_up_to_date(tmp_path: Path) -> None:
    protos = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "protos" / "penchant" / "v1").glob("*.proto"))
    plugins = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    outputs = [f"--{kind}={where}{tmp_path}" for kind, where in (
        ("python_out", ""), ("pyi_out", ""), ("grpc_python_out", ""), ("mypy_grpc_out", "quiet:"),
    )]  # fmt: skip
    subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", "-Iprotos", *outputs, *protos],
        cwd=ROOT, env={**os.environ, "PATH": plugins}, check=True,
    )  # fmt: skip
    generated = {path.name: path.read_text() for path in (tmp_path / "penchant" / "v1").iterdir()}
    checked_in = {
        path.name: path.read_text()
        for path in (ROOT / "penchant" / "v1").iterdir()
        if path.is_file() and path.name != "__init__.py"
    }
    assert sorted(generated) == sorted(checked_in), "run `make protos` and commit the result"
    differing = [name for name in generated if generated[name] != checked_in[name]]
    assert not differing, "run `make protos` and commit the result"
