"""Followers give way, leaders take their turns, and neither needs a privilege."""

import os
import subprocess
import sys

import pytest

CHILD = """
import os
from infrastructure.scheduling import give_way, take_turns
give_way()
first = os.sched_getscheduler(0)
take_turns()
print(first == os.SCHED_BATCH, os.sched_getscheduler(0) == os.SCHED_OTHER)
"""


@pytest.mark.skipif(not hasattr(os, "SCHED_BATCH"), reason="no scheduling classes here")
def test_a_process_gives_way_and_takes_its_turns_again():
    """Both ways, in a process of its own."""
    done = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["True", "True"]
