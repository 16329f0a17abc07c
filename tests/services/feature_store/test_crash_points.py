import os
import signal
import subprocess
import sys

import pytest

from penchant.errors import ConfigError
from services.feature_store.crash_points import CRASH_POINTS, crash_points


def test_nothing_happens_unless_asked_for():
    reached = crash_points({})
    for point in CRASH_POINTS:
        reached(point)


def test_the_process_dies_the_nth_time_at_the_point():
    program = (
        "from services.feature_store.crash_points import crash_points\n"
        "reached = crash_points()\n"
        "for n in range(5): reached('before_append'); reached('after_fsync'); print(n, flush=True)\n"
    )
    environment = {**os.environ, "PENCHANT_CRASH_POINT": "after_fsync:3"}
    child = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert (child.returncode, child.stdout) == (-signal.SIGKILL, "0\n1\n")


@pytest.mark.parametrize("wanted", ["nowhere", "after_fsync:soon"])
def test_a_point_that_does_not_exist_is_refused(wanted):
    with pytest.raises(ConfigError, match=r"PENCHANT_CRASH_POINT.*before_append"):
        crash_points({"PENCHANT_CRASH_POINT": wanted})
