"""Where a benchmark ran, and with what: figures mean nothing without it."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

PACKAGES: Final = ("streammf", "numpy", "numba", "msgspec", "lmdb", "confluent-kafka", "river", "implicit", "faiss-cpu")


def machine() -> dict[str, str]:
    """Processor, cores, memory, system and load, in words."""
    return {
        "processor": _field(Path("/proc/cpuinfo"), "model name") or platform.machine(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "load before": f"{os.getloadavg()[0]:.1f}",
    }


def versions() -> dict[str, str]:
    """Python's version and those of the packages that are installed."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _field(path: Path, name: str) -> str:
    if not path.exists():
        return ""
    lines = [line for line in path.read_text().splitlines() if line.startswith(name)]
    return lines[0].partition(":")[2].strip() if lines else ""
