"""What the operating system and LMDB refuse, in words."""

import errno
import os
from pathlib import Path
from types import SimpleNamespace

import lmdb
import pytest

from streammf.errors import StoreError
from streammf.state.datafile import said

READ_ONLY, NO_SPACE, SHORT_WRITE = (os.strerror(number) for number in (errno.EROFS, errno.ENOSPC, errno.EIO))


@pytest.mark.parametrize(
    ("error", "is_full"),
    [
        (OSError(errno.EROFS, READ_ONLY), False),
        (lmdb.Error(f"data.mdb: {READ_ONLY}"), False),
        (PermissionError(errno.EACCES, os.strerror(errno.EACCES)), False),
        (OSError(errno.ENOSPC, NO_SPACE), True),
        (lmdb.DiskError(f"mdb_txn_commit: {SHORT_WRITE}"), True),
    ],
)
def test_a_file_system_is_called_full_only_where_room_is_what_it_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, is_full: bool
) -> None:
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_bavail=0, f_frsize=4096))
    with pytest.raises(StoreError) as caught, said("write", tmp_path):
        raise error
    assert ("is full" in str(caught.value)) == is_full
