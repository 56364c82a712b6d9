"""A server that speaks S3, for tests: gofakes3 or moto, whichever the machine has.

Rules of this file:
1. It listens on loopback, keeps nothing, and is gone after the test.
"""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from urllib.request import Request, urlopen

from tests.programs import missing
from tests.waiting import wait_for

BUCKET = "snapshots"


def _command(port: int) -> list[str]:
    if found := shutil.which("gofakes3"):
        return [found, "-host", f"127.0.0.1:{port}", "-backend", "mem", "-initialbucket", BUCKET]
    if found := shutil.which("moto_server"):
        return [found, "-H", "127.0.0.1", "-p", str(port)]
    return missing(
        "no S3 server was found: go install github.com/johannesboyne/gofakes3/cmd/gofakes3@v1.2.0, or pip install moto[server]"
    )


@contextmanager
def s3_server() -> Iterator[dict[str, str]]:
    """The variables that lead to it."""
    if find_spec("obstore") is None:
        missing("obstore was not found: pip install 'streammf[objects]'")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    quiet = subprocess.DEVNULL
    with subprocess.Popen(_command(port), stdout=quiet, stderr=quiet, env=dict(os.environ)) as server:
        try:

            def bucket_is_there() -> bool:
                with suppress(OSError):  # gofakes3 has made it, and says so with an error
                    urlopen(Request(f"{address}/{BUCKET}", method="PUT"), timeout=5).close()
                with urlopen(f"{address}/{BUCKET}", timeout=5) as answer:
                    return bool(answer.status == 200)

            wait_for(bucket_is_there, "the S3 server's bucket", 60)
            yield {
                "AWS_ENDPOINT": address,
                "AWS_ALLOW_HTTP": "true",
                "AWS_REGION": "us-east-1",
                "AWS_ACCESS_KEY_ID": "nobody",
                "AWS_SECRET_ACCESS_KEY": "nothing",
            }
        finally:
            server.terminate()
            server.wait(30)
