"""Everything that can be wrong from outside: one line that says what and what to do, and an exit code with a name."""

import json
import socket
import struct
from pathlib import Path
from typing import Any

import msgpack
import pytest

from streammf.errors import ExitCode
from streammf.events.log import LogSink
from streammf.serving.client import Client
from tests.integration.processes import running, settings, streammf, until_events

pytestmark = pytest.mark.timeout(300)


def refused(code: ExitCode, said: str, *arguments: str, environment: dict[str, str]) -> None:
    """The command ends with this code and one line that contains `said`."""
    done = streammf(*arguments, environment=environment)
    lines = [line for line in done.stderr.splitlines() if "compiling" not in line and not line.startswith("starting ")]
    assert (done.returncode, len(lines)) == (code, 1), done.stderr
    assert lines[0].startswith("streammf: ")
    assert said in lines[0]


def test_a_broker_that_is_not_there(tmp_path: Path) -> None:
    environment = settings(tmp_path, source__kind="kafka", source__bootstrap_servers="127.0.0.1:1", source__connect_seconds="1")
    del environment["STREAMMF_SOURCE__PATH"]
    refused(ExitCode.SOURCE, "127.0.0.1:1", "train", environment=environment)


@pytest.mark.kafka
def test_a_topic_that_does_not_exist(tmp_path: Path, kafka: str) -> None:
    environment = settings(tmp_path, source__kind="kafka", source__bootstrap_servers=kafka, source__topics='["no-such-topic"]')
    del environment["STREAMMF_SOURCE__PATH"]
    refused(ExitCode.SOURCE, "no-such-topic", "train", environment=environment)


def test_a_second_trainer_on_the_same_store(tmp_path: Path) -> None:
    environment = settings(tmp_path)
    with running("train", environment=environment) as first:
        first.ready()
        refused(ExitCode.STORE_BUSY, str(first.pid), "train", environment=environment)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    refused(ExitCode.STORE, str(blocked), "train", environment=settings(tmp_path, store__path=str(blocked / "store")))


def test_a_memory_file_system_of_8_mib(tmp_path: Path, small_tmpfs: Path) -> None:
    sink = LogSink(tmp_path / "log", create=True)
    for n in range(30_000):
        sink.append(b"", b'{"user":"u%d","item":"i%d"}' % (n, n), 1_700_000_000_000)
    sink.close()
    refused(ExitCode.MEMORY, "live.path", "train", environment=settings(tmp_path, live__path=str(small_tmpfs / "live")))


def test_an_unknown_setting_names_the_nearest_right_one(tmp_path: Path) -> None:
    refused(ExitCode.CONFIGURATION, "factors", "train", environment=settings(tmp_path, learning__factor="8"))


def test_malformed_events_among_good_ones_are_set_aside_and_the_good_ones_learned(tmp_path: Path) -> None:
    bad = [
        b"{",
        b"not an event",
        b'{"item":"i"}',
        b'{"user":"u"}',
        b'{"user":1,"item":"i"}',
        b'{"user":"u","item":"i","value":"five"}',
        b'{"user":"u","item":"i","value":1e999}',
        b'{"user":"u","item":"i","type":"shout"}',
        b'{"user":"u","item":"i","ts":-5}',
        json.dumps({"user": "u" * 300, "item": "i"}).encode(),
        b'{"user":"\xff\xfe","item":"i"}',
        msgpack.packb({"user": "u", "item": "i", "value": float("nan")}),
        msgpack.packb({"user": "u", "item": ["i"]}),
        msgpack.packb([1, 2, 3]),
        b"",
    ]
    good = [json.dumps({"user": "u", "item": f"i{n}"}).encode() for n in range(50)]
    good += [msgpack.packb({"user": "v", "item": f"i{n}", "type": "purchase"}) for n in range(50)]
    mixed = [value for pair in zip(good, bad * 7, strict=False) for value in pair]
    sink = LogSink(tmp_path / "log", create=True)
    for value in mixed:
        sink.append(b"", value, 1_700_000_000_000)
    sink.close()
    with running("up", environment=settings(tmp_path)) as up:
        client = Client(up.ready().address)
        until_events(client, len(mixed) // 2)
        info = client.info()
        assert (info.rejected, info.users, info.items) == (len(mixed) // 2, 2, 50)
        assert info.position[0].next == len(mixed)


def test_bad_frames_get_one_error_and_the_next_connection_works(tmp_path: Path) -> None:
    with running("serve", "--workers", "1", environment=settings(tmp_path)) as server:
        host, port = server.ready().address.split(":")
        for frame in (
            struct.pack(">I", 2**31) + b"x",
            struct.pack(">I", 2**32 - 1),
            struct.pack(">I", 3) + b"\xc1\xc1\xc1",
        ):
            with socket.create_connection((host, int(port)), 5) as connection:
                connection.sendall(frame)
                answer = read_frame(connection)
                assert answer["ok"] is False
                assert connection.recv(1) == b"", "and then it hangs up"
        with socket.create_connection((host, int(port)), 5) as connection:
            connection.sendall(struct.pack(">I", 100) + b"short")  # truncated: the sender goes away
        with socket.create_connection((host, int(port)), 5) as connection:
            connection.sendall(framed({"id": 1, "op": "destroy"}))
            assert read_frame(connection)["error"]["code"] == "unknown_op"
            connection.sendall(framed({"id": 2, "op": "health"}))
            assert read_frame(connection)["status"] == "no_model"


def framed(message: dict[str, object]) -> bytes:
    body: bytes = msgpack.packb(message)
    return struct.pack(">I", len(body)) + body


def read_frame(connection: socket.socket) -> dict[str, Any]:
    data = b""
    while len(data) < 4 or len(data) < 4 + struct.unpack(">I", data[:4])[0]:
        piece = connection.recv(65_536)
        assert piece, "the server hung up without an answer"
        data += piece
    return dict(msgpack.unpackb(data[4:]))
