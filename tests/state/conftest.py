"""What the tests of this room share."""

import pytest

from streammf.learning.compiling import ready


@pytest.fixture(scope="session", autouse=True)
def kernels() -> None:
    """Kernels are called directly here, and refuse to be before they are compiled."""
    ready()
