"""A stack in this process: Redis if none is named, the store loaded, the services up."""

import contextlib
from collections.abc import Callable, Iterator

from stack.layout import Layout
from stack.prepare import load_store, require_redis
from stack.redis_server import redis_spec, save
from stack.steps import Steps
from stack.supervised import ProcessSpec
from stack.supervisor import BackOff, Supervisor


@contextlib.contextmanager
def running(
    layout: Layout,
    steps: Steps,
    redis_url: str = "",
    keep: bool = False,
    say: Callable[[str], None] = lambda text: None,
    back_off: BackOff | None = None,
) -> Iterator[Supervisor]:
    """All healthy inside the block, all gone after it. redis_url: a server of your own; without one Redis is a child.

    keep: our Redis finds again what it held when it was last stopped. Raises ConfigError for a port in use,
    ProcessFailed with a log's end, StoreUnavailable if the named server does not answer.
    """
    require_redis(redis_url)
    with Supervisor(layout.run, back_off) as supervisor:
        supervisor.describe(state="starting", **layout.said())
        own = not redis_url
        if own:
            spec, redis_url = redis_spec(layout.run / "redis", layout.ports["redis"], keep)
            _start(supervisor, spec, steps, say)
        say("Feast repository: apply and materialise")
        supervisor.describe(message="loading the online store")
        load_store(steps, layout, redis_url)
        if own:
            save(redis_url)
        for service in layout.services(redis_url):
            _start(supervisor, service, steps, say)
        supervisor.describe(state="up", message="")
        yield supervisor


def _start(supervisor: Supervisor, spec: ProcessSpec, steps: Steps, say: Callable[[str], None]) -> None:
    supervisor.describe(message=f"waiting for {spec.name}")
    with steps.timed(f"start {spec.name}"):
        supervisor.start(spec)
    say(f"{spec.name} is healthy after {steps.seconds_of[f'start {spec.name}']:.1f} s")
