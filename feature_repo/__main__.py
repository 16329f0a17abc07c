"""python -m feature_repo apply | materialize | compile: what writes the registry, loads the store, compiles plans."""

import argparse
import json
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from redis import RedisError

from penchant.errors import ConfigError, PenchantError

REDIS_VARIABLE = "PENCHANT_FEATURE_STORE__REDIS"
"""Also read by the feature store itself."""

REDIS_VARIABLE = "PENCHANT_FEATURE_STORE__REDIS"


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status; the last line of stdout is a JSON object."""
    options = _parser().parse_args(argv)
    # Feast takes seconds to import, and a wrong option should not have to wait for it.
    from feature_repo.compile import compile_plan
    from feature_repo.definitions import objects
    from feature_repo.materialize import materialize
    from feature_repo.repository import open_repository

    warnings.filterwarnings("ignore", category=DeprecationWarning)  # after Feast, which shows them again
    try:
        if options.step == "compile":
            print(json.dumps(_compile(options.repository, options.plan)), flush=True)
            return 0
        store = open_repository(options.redis, options.offline)
        offline = options.offline.resolve()
        if options.step == "apply":
            store.apply(objects(offline))
            plan = compile_plan(store)
            plan.write(options.plan)
            done: dict[str, object] = {
                "plan": str(options.plan),
                "views": sorted(plan.views),
                "registry_sha256": plan.registry_sha256,
            }
        else:
            rows = materialize(
                store, compile_plan(store), offline, lambda view, rows: print(f"{view}: {rows} rows", file=sys.stderr)
            )
            done = {"rows": rows}
    except PenchantError as error:
        print(f"feature_repo {options.step}: {error}", file=sys.stderr)
        return 2
    except RedisError as error:
        print(f"feature_repo {options.step}: the online store did not answer ({error}): mend --redis", file=sys.stderr)
        return 2
    print(json.dumps(done), flush=True)
    return 0


def _compile(repository: Path, path: Path) -> dict[str, object]:
    """The plan of somebody's own applied repository; the registry is read, nothing is written to it."""
    from feast import FeatureStore

    from feature_repo.compile import compile_plan

    if not (repository / "feature_store.yaml").is_file():
        raise ConfigError(f"{repository}/feature_store.yaml is missing: name a Feast repository")
    plan = compile_plan(FeatureStore(repo_path=str(repository)))
    plan.write(path)
    return {"plan": str(path), "services": sorted(plan.services), "skipped": plan.skipped}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m feature_repo", description=__doc__)
    steps = parser.add_subparsers(dest="step", required=True)
    for name, said in (
        ("apply", "write the registry and the serving plan"),
        ("materialize", "load the offline parquet into the online store and check the counts"),
    ):
        step = steps.add_parser(name, help=said)
        step.add_argument(
            "--redis",
            default=os.environ.get(REDIS_VARIABLE, "redis://127.0.0.1:6379/0"),
            help=f"redis://, rediss:// or unix:// URL; default: {REDIS_VARIABLE}, which keeps a password out of ps",
        )
        step.add_argument("--offline", type=Path, required=True, help="folder of <view>.parquet and the registry")
        if name == "apply":
            step.add_argument("--plan", type=Path, default=Path("feature_repo/plan.json"), help="the plan to write")
    step = steps.add_parser("compile", help="compile the plan of a Feast repository of your own")
    step.add_argument("--repository", type=Path, required=True, help="folder with its feature_store.yaml")
    step.add_argument("--plan", type=Path, required=True, help="the plan to write")
    return parser


if __name__ == "__main__":
    sys.exit(main())
