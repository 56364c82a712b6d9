"""What several rooms' tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.broker import LocalBroker, any_broker, local_broker


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real broker for the whole run: tests make topics of their own in it and never stop it."""
    with any_broker(tmp_path_factory.mktemp("kafka")) as address:
        yield address


@pytest.fixture
def own_kafka(tmp_path: Path) -> Iterator[LocalBroker]:
    """A real broker for one test, which may stop, kill and start it."""
    with local_broker(tmp_path / "kafka") as broker:
        yield broker
