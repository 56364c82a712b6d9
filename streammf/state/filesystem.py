"""On what kind of file system a folder stands: LMDB may be trusted to a local one only.

Rules of this file:
1. A network file system is refused: neither locks nor mapped pages are the same on two machines there, and LMDB says so itself.
2. Which kind it is, the kernel says (statfs). A file system in user space (FUSE) may be either: the mount table has its name,
   and one that is not known to be local is refused too.
"""

import ctypes
import os
from pathlib import Path
from typing import Final

from streammf.errors import StoreError

#: statfs(2), f_type, and what the kernel's magic numbers are called.
NETWORK: Final = {
    0x6969: "NFS",
    0x517B: "SMB",
    0xFE534D42: "SMB",
    0xFF534D42: "CIFS",
    0x01021997: "9p",
    0x564C: "NCP",
    0x5346414F: "AFS",
    0x6B414653: "AFS",
    0x73757245: "Coda",
    0x00C36400: "Ceph",
    0x0BD00BD0: "Lustre",
    0x47504653: "GPFS",
    0x19830326: "BeeGFS",
    0x01161970: "GFS2",
    0x7461636F: "OCFS2",
    0x786F4256: "vboxsf",
}
FUSE: Final = 0x65735546
TMPFS: Final = 0x01021994
#: Types of FUSE mounts whose files are on this machine; all others count as network file systems.
LOCAL_FUSE: Final = frozenset(
    {"fuseblk", "fuse.fuse-overlayfs", "fuse.bindfs", "fuse.gocryptfs", "fuse.lxcfs", "fuse.mergerfs"}
)
#: Bytes of struct statfs on every Linux are fewer; f_type is its first long.
_STATFS_BYTES: Final = 512


def kind(path: Path) -> int:
    """The magic number of the file system that an existing path stands on; 0 where the kernel does not say."""
    answer = ctypes.create_string_buffer(_STATFS_BYTES)
    if ctypes.CDLL(None, use_errno=True).statfs(os.fsencode(path), answer) != 0:
        return 0
    return int.from_bytes(answer.raw[: ctypes.sizeof(ctypes.c_long)], "little") & 0xFFFFFFFF


def network_name(path: Path) -> str:
    """What the network file system is called that an existing path stands on; empty: it is none."""
    number = kind(path)
    if number != FUSE:
        return NETWORK.get(number, "")
    mounted = mount_type(path)
    return "" if mounted in LOCAL_FUSE else mounted or "FUSE"


def mount_type(path: Path) -> str:
    """The type that the mount table has for an existing path; empty: it has none."""
    device = path.stat().st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        lines = Path("/proc/self/mountinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        return ""
    found = ""
    for line in lines:
        mount, _, rest = line.partition(" - ")
        if mount.split()[2:3] == [wanted]:
            found = rest.partition(" ")[0]  # the last one lies on top
    return found


def require_local(path: Path, *, allow_network: bool) -> None:
    """Raise StoreError where the folder stands on a network file system, and that was not said to be all right."""
    if not allow_network and (name := network_name(path)):
        raise StoreError(
            f"the store {path} is on a network file system ({name}), where LMDB cannot keep two processes apart: set "
            "store.path to a local disk, and store.snapshots to the network one; store.allow_network = true uses it anyway"
        )
