"""Where the model lives, in memory and on disk, and how large it may grow. Apart from what uses it: a process that only watches
the others reads these settings, and loads no kernel.
"""

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import msgspec

from streammf.learning.tables import Axis, Dimensions

#: Row numbers are int32. Chains of seen items have no limit of their own: their number follows from users and events.
MOST_ROWS: Final = 2**31 - 1
#: Far beyond any Kafka cluster's partitions of a few topics.
MOST_PARTITIONS: Final = 65_536


class Limits(NamedTuple):
    """What addresses are set aside for. It costs no memory before rows exist."""

    users: int = 100_000_000
    items: int = 10_000_000

    def rows(self, axis: Axis, dimensions: Dimensions) -> int:
        """The most rows of an axis."""
        fixed = {Axis.USER: self.users, Axis.ITEM: self.items, Axis.PARTITION: MOST_PARTITIONS}
        return {**fixed, Axis.RECENT: dimensions.recent, Axis.MODEL: 1, Axis.ATTRIBUTE: dimensions.attributes}.get(
            axis, MOST_ROWS
        )


DEFAULT_LIMITS: Final = Limits()
SETTINGS: Final = {Axis.USER: "live.most_users", Axis.ITEM: "live.most_items"}

Rows = Annotated[int, msgspec.Meta(ge=1, le=MOST_ROWS)]


class LiveOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the model lives while it is learned."""

    path: str = ""
    """Folder of the live memory, on a file system in memory. Empty: one under /dev/shm, named after the store."""

    most_users: Rows = DEFAULT_LIMITS.users
    """Users that addresses are set aside for. It costs no memory before they exist."""

    most_items: Rows = DEFAULT_LIMITS.items
    """Items that addresses are set aside for."""

    @property
    def limits(self) -> Limits:
        """The limits of the memory."""
        return Limits(self.most_users, self.most_items)


def live_path(options: LiveOptions, store: Path) -> Path:
    """Where the live memory of a store is: trainer and workers find each other by it, and two stores never clash."""
    if options.path:
        return Path(options.path)
    shm = Path("/dev/shm")
    room = shm if shm.is_dir() else Path(tempfile.gettempdir())
    name = hashlib.sha256(os.fsencode(store.resolve())).hexdigest()[:12]
    return room / f"streammf-{os.getuid()}-{name}"


class StoreOptions(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Where the model is kept."""

    path: str = "streammf-data/store"
    """Folder of the store."""
    snapshots: str = "streammf-data/snapshots"
    """Where snapshots are kept: a folder, or `s3://bucket/prefix` (with the extra `objects`; access from AWS_* variables)."""
    snapshot_minutes: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    """The trainer writes a snapshot so many minutes after the last one, if anything was learned since; 0: not by time."""
    snapshot_events: Annotated[int, msgspec.Meta(ge=0)] = 0
    """The same after so many events; 0: not by events."""
    snapshots_kept: Annotated[int, msgspec.Meta(ge=1)] = 7
    """Of the snapshots that the trainer wrote by itself, the newest so many are kept, and the newest good one always."""
    snapshot_days: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    """Older ones are kept too until they are so many days old."""
    map_gib: Annotated[float, msgspec.Meta(gt=0)] = 64.0
    """Addresses set aside for the data file, GiB; not disk. It grows by itself; readers notice."""
    quarantined: Annotated[int, msgspec.Meta(ge=0)] = 100_000
    """Rejected records kept, the newest; all are counted."""
    allow_network: bool = False
    """Use a store on a network file system, although LMDB's locks and mapped pages do not hold there."""
