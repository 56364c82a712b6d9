"""Kernels are compiled once a session, from the cache where it holds them."""

import pytest

import streammf.learning.answers
import streammf.learning.learner
import streammf.learning.measures  # noqa: F401 - imported so that its kernels are declared
from streammf.learning.compiling import ready


@pytest.fixture(autouse=True, scope="session")
def compiled() -> None:
    """Every kernel of the room."""
    ready()
