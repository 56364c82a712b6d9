"""Programs that some tests need and a machine may not have.

Rules of this file:
1. What is missing is a skip that names it, and a failure where CI is set: there it must not pass silently.
"""

import os
import shutil
from typing import NoReturn

import pytest


def program(name: str, package: str) -> str:
    """Where a program is. `package`: what brings it, for who has not got it."""
    return shutil.which(name) or missing(f"{name} was not found: install {package}")


def missing(message: str) -> NoReturn:
    """Ends the test that needs what is not there."""
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)
