"""The demo, as a newcomer runs it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(400)


def test_the_demo_shows_what_it_promises(tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("STREAMMF_")} | {"COLUMNS": "160"}
    done = subprocess.run(
        [sys.executable, "-m", "streammf", "demo"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    said = done.stdout
    assert done.returncode == 0, said + done.stderr
    assert "30,000 clicks written and learned" in said
    assert re.search(r"\d+ ms after the click was written, an answer included it", said)
    assert said.count("▲") + said.count("new") >= 1, "the click changed the list"
    assert re.search(r"kill -9 \d+", said)
    assert re.search(r"trainer was killed by SIGKILL", said)
    assert re.search(r"[\d,]+ queries were answered .* none failed", said)
    assert "The log holds 50,001 events, the model has applied 50,001" in said
    assert "streammf up --source kafka" in said
    assert not list(tmp_path.iterdir()), "it leaves nothing behind"
