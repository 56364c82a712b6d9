"""Nothing of a forgotten user or item is left: in live memory, the store, its quarantine, after restarts, after a restore."""

import json
import os
import signal
from contextlib import closing
from pathlib import Path

import pytest

from streammf.events.codec import encode_json
from streammf.events.event import Event
from streammf.events.log import LogSink
from streammf.serving.client import Client
from tests.integration.processes import running, settings, streammf
from tests.state.forgetters import in_files
from tests.trainer.sources import clicks
from tests.waiting import wait_for

pytestmark = pytest.mark.timeout(400)

SMALL = {"learning__factors": "8", "learning__history": "8", "learning__recent": "500", "trainer__commit_seconds": "0.05"}
#: 32 random bytes each, in the letters of an id.
USER, ITEM = os.urandom(16).hex(), os.urandom(16).hex()
EVENTS = 1_000


def write(folder: Path, records: list[Event | bytes]) -> None:
    """Append to the embedded log of these tests."""
    with closing(LogSink(folder / "log", create=True)) as sink:
        for record in records:
            sink.append(b"", record if isinstance(record, bytes) else encode_json(record), 1_700_000_000_000)


def said(environment: dict[str, str], *arguments: str) -> str:
    """What a command says, which must succeed."""
    done = streammf(*arguments, environment=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def learn(environment: dict[str, str], records: int, folder: Path) -> tuple[int, int, bool]:
    """Train until so many records are committed; (users, items, whether USER is known), and nothing of them in live memory."""
    with (
        running("serve", "--workers", "1", environment=environment) as server,
        running("train", environment=environment) as trainer,
    ):
        client = Client(server.ready().address)

        def done() -> bool:
            info = client.info()
            return bool(info.position) and info.position[0][2] >= records and info.trainer_pid == trainer.pid

        wait_for(done, f"{records} records learned", 180)
        known = client.predict(USER, ITEM)
        info = client.info()
        if not known.user_known:
            assert in_files(folder / "live", USER) == in_files(folder / "live", ITEM) == []
        trainer.send(signal.SIGTERM)
        assert trainer.wait() == 0, trainer.lines
    return info.users, info.items, known.user_known or known.item_known


def test_of_who_is_forgotten_nothing_is_left_anywhere_through_restart_and_restore(tmp_path: Path) -> None:
    environment = settings(tmp_path, **SMALL)
    events = clicks(EVENTS)
    own = [Event(USER if n % 2 else "u3", ITEM if n % 3 else "i4", ts=e.ts) for n, e in enumerate(events[:60])]
    broken = b'{"user": "%s", "item": "%s", "value": "much"}' % (USER.encode(), ITEM.encode())
    write(tmp_path, [*events[:500], *own, broken, *events[500:]])
    before = learn(environment, EVENTS + 61, tmp_path)
    assert before[2]
    assert in_files(tmp_path / "store", USER)
    said(environment, "snapshot", "create", str(tmp_path / "old"))

    asked = [b'{"type":"forget_user","user":"%s"}' % USER.encode(), b'{"type":"delete_item","item":"%s"}' % ITEM.encode()]
    write(tmp_path, [*own[:20], *asked, *events[:100]])
    records = EVENTS + 61 + 20 + 2 + 100
    after = learn(environment, records, tmp_path)
    assert after == (before[0] - 1, before[1] - 1, False)
    aside = said(environment, "quarantine", "list", "--json")
    assert USER not in aside
    assert "forgotten" in aside
    said(environment, "snapshot", "compact")
    assert in_files(tmp_path / "store", USER) == in_files(tmp_path / "store", ITEM) == []
    assert json.loads(said(environment, "audit", "--json"))["same"] is True
    assert learn(environment, records, tmp_path) == after, "as before the restart"
    said(environment, "doctor")

    said(environment, "snapshot", "restore", str(tmp_path / "old"), "--overwrite")
    assert learn(environment, records, tmp_path) == after, "as before the restore"
    said(environment, "snapshot", "compact")
    assert in_files(tmp_path / "store", USER) == in_files(tmp_path / "store", ITEM) == []
    assert json.loads(said(environment, "audit", "--json"))["same"] is True, "audit clears where the restore did"
    assert len(in_files(tmp_path / "old", USER)) == 1, "a snapshot is never written to: it goes when it is deleted"
