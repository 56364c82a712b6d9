"""A cluster that is let go, where nobody answers: what needs a broker is in test_kafka.py."""

import subprocess
import sys

#: Asks in another thread, and ends. Its end takes as many seconds as its exit code says, in which Python is gone.
PROGRAM = """
import ctypes, sys, threading
from streammf.events.kafka_cluster import Cluster
from streammf.events.kafka_options import KafkaOptions
from streammf.events.source import Partition

libc = ctypes.CDLL(None)
libc.on_exit(ctypes.cast(libc.sleep, ctypes.c_void_p), None)
cluster = Cluster(KafkaOptions(bootstrap_servers="127.0.0.1:1", topics=["events"]))
asking = threading.Thread(target=cluster.standing, args=([Partition("events", 0)], 1.0), daemon=True)
asking.start()
asking.join(0.3)
assert asking.is_alive()
cluster.close()
sys.exit(3)
"""


def test_a_question_that_is_under_way_does_not_crash_a_process_that_closed_its_client() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (3, "")
