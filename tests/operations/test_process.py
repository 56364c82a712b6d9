"""What a long-lived process does first."""

import os
import subprocess
import sys

from tests.waiting import wait_for

CHILD = """
import os, signal
from streammf.operations.process import begin
begin(int(os.environ['PARENT']))
print('begun', flush=True)
signal.pause()
"""
PARENT = f"""
import os, subprocess, sys
child = subprocess.Popen([sys.executable, '-c', {CHILD!r}], env=os.environ | {{'PARENT': str(os.getpid())}})
child.wait()
"""


def test_a_child_does_not_outlive_its_parent() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout as output:
        assert output.readline() == "begun\n"
        parent.kill()
        assert output.read() == "", "the child holds the other end of this pipe until it is gone"
    parent.wait()


def test_a_child_whose_parent_died_first_ends_at_once() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHILD], env=os.environ | {"PARENT": "1"}, capture_output=True, text=True, check=False
    )
    assert "process 1, which started this one, is gone" in done.stderr
    assert done.returncode == 1


def test_sigterm_before_anything_is_begun_is_a_clean_end() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD], env=os.environ | {"PARENT": str(os.getpid())}, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process.stdout as output:
        assert output.readline() == "begun\n"
        process.terminate()
    assert wait_for(lambda: process.poll() is not None, "the end of the process")
    assert process.returncode == 0
