"""Several brokers in this process: librdkafka's own mock cluster, for faults that one real broker cannot have.

Rules of this file:
1. Only what the tests need is declared, and only what the client library documents for its mock cluster is called.
2. A client library that does not offer it is a skip by name, and a failure where CI is set.
"""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import confluent_kafka

from tests.programs import missing

_POINTER, _TEXT, _NUMBER = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int32
#: Name → (result, arguments), as rdkafka.h and rdkafka_mock.h have them.
_CALLS: Final[dict[str, tuple[Any, list[Any]]]] = {
    "conf_new": (_POINTER, []),
    "conf_set": (ctypes.c_int, [_POINTER, _TEXT, _TEXT, _TEXT, ctypes.c_size_t]),
    "new": (_POINTER, [ctypes.c_int, _POINTER, _TEXT, ctypes.c_size_t]),
    "destroy": (None, [_POINTER]),
    "mock_cluster_new": (_POINTER, [_POINTER, ctypes.c_int]),
    "mock_cluster_destroy": (None, [_POINTER]),
    "mock_cluster_bootstraps": (_TEXT, [_POINTER]),
    "mock_topic_create": (ctypes.c_int, [_POINTER, _TEXT, ctypes.c_int, ctypes.c_int]),
    "mock_partition_set_leader": (ctypes.c_int, [_POINTER, _TEXT, _NUMBER, _NUMBER]),
    "mock_broker_set_down": (ctypes.c_int, [_POINTER, _NUMBER]),
    "mock_broker_set_up": (ctypes.c_int, [_POINTER, _NUMBER]),
    "mock_set_controller_id": (ctypes.c_int, [_POINTER, _NUMBER]),
}


class MockBrokers:
    """A cluster of brokers 1..n."""

    def __init__(self, calls: dict[str, Any], brokers: int) -> None:
        self._calls = calls
        reason = ctypes.create_string_buffer(512)
        settings = calls["conf_new"]()
        calls["conf_set"](settings, b"log_level", b"2", reason, 512)
        self._client = calls["new"](0, settings, reason, 512)  # 0: a producer; it only carries the cluster
        assert self._client, reason.value
        self._cluster = calls["mock_cluster_new"](self._client, brokers)
        self._call("mock_set_controller_id", 1)  # questions of administrators wait for one

    @property
    def address(self) -> str:
        return str(self._calls["mock_cluster_bootstraps"](self._cluster).decode())

    def create_topic(self, name: str, leaders: list[int]) -> None:
        """One partition for every leader."""
        self._call("mock_topic_create", name.encode(), len(leaders), 1)
        for number, broker in enumerate(leaders):
            self._call("mock_partition_set_leader", name.encode(), number, broker)

    def set_down(self, broker: int) -> None:
        self._call("mock_broker_set_down", broker)

    def set_up(self, broker: int) -> None:
        self._call("mock_broker_set_up", broker)

    def close(self) -> None:
        self._calls["mock_cluster_destroy"](self._cluster)
        self._calls["destroy"](self._client)

    def _call(self, name: str, *arguments: object) -> None:
        assert self._calls[name](self._cluster, *arguments) == 0, name


@contextmanager
def mock_brokers(count: int) -> Iterator[MockBrokers]:
    """So many brokers while the block runs."""
    cluster = MockBrokers(_calls(), count)
    try:
        yield cluster
    finally:
        cluster.close()


def _calls() -> dict[str, Any]:
    folder = Path(confluent_kafka.__file__).parent.parent / "confluent_kafka.libs"
    found = sorted(folder.glob("librdkafka*.so*"))
    if not found:
        missing(f"mock Kafka brokers: no librdkafka in {folder.name}, this client was built otherwise")
    library = ctypes.CDLL(os.path.realpath(found[0]))
    calls = {}
    for name, (result, arguments) in _CALLS.items():
        call = getattr(library, f"rd_kafka_{name}")
        call.restype, call.argtypes = result, arguments
        calls[name] = call
    return calls
