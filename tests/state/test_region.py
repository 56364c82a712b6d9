"""Growable mapped bytes: what is backed, what is shared, and what happens when there is no room."""

import ctypes
import errno
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from streammf.errors import MemoryFullError
from streammf.state import region
from streammf.state.region import HUGE, PAGE, Region, mebibytes


def backed(path: Path) -> int:
    return path.stat().st_blocks * 512


def test_a_new_file_takes_no_room_whatever_its_capacity(tmp_path: Path) -> None:
    Region.create(tmp_path / "bytes", 1 << 40)
    assert (tmp_path / "bytes").stat().st_size == 1 << 40
    assert backed(tmp_path / "bytes") == 0


def test_reserve_backs_what_it_is_asked_for(tmp_path: Path) -> None:
    made = Region.create(tmp_path / "bytes", 1 << 30)
    made.reserve(10 * PAGE, 20 * PAGE)
    assert 10 * PAGE <= backed(tmp_path / "bytes") <= 12 * PAGE


def test_growing_backs_ahead_and_at_most_to_the_capacity(tmp_path: Path) -> None:
    made = Region.create(tmp_path / "bytes", 100 * PAGE)
    for size, least, most in ((1, 1, 1), (PAGE + 1, 2, 2), (3 * PAGE, 3, 4), (50 * PAGE, 50, 50), (51 * PAGE, 51, 100)):
        made.grow(size)
        assert least * PAGE <= backed(tmp_path / "bytes") <= (most + 1) * PAGE


def test_who_attached_before_a_growth_sees_what_is_written_after_it(tmp_path: Path) -> None:
    writer = Region.create(tmp_path / "bytes", 1 << 30)
    written = writer.array("i8", (1000,), PAGE)
    read = Region.attach(tmp_path / "bytes").array("i8", (1000,), PAGE)
    writer.reserve(PAGE, PAGE + 8000)
    written[:] = np.arange(1000)
    assert (read == np.arange(1000)).all()


def test_every_region_begins_where_a_huge_page_can(tmp_path: Path) -> None:
    made = Region.create(tmp_path / "bytes", 3 * PAGE)
    for one in (made, Region.attach(tmp_path / "bytes"), Region.anonymous(3 * PAGE)):
        assert one.array("u1", (1,)).ctypes.data % HUGE == 0


def test_what_was_written_and_attached_before_stays_when_it_comes_to_stand_on_huge_pages(small_tmpfs: Path) -> None:
    writer = Region.create(small_tmpfs / "bytes", 1 << 30)
    written = writer.array("i8", (3 * HUGE // 8,))
    read = Region.attach(small_tmpfs / "bytes").array("i8", (3 * HUGE // 8,))
    for first in range(0, len(written), 1000):
        last = min(first + 1000, len(written))
        writer.reserve(8 * first, 8 * last)
        written[first:last] = np.arange(first, last)
        assert read[last - 1] == last - 1
    assert (read == np.arange(len(read))).all()
    assert backed(small_tmpfs / "bytes") == 3 * HUGE


class Kernel:
    """Notes what it is advised of, and refuses with an error; 0: says that it did it."""

    def __init__(self, code: int) -> None:
        self.asked: list[tuple[int, int, int]] = []
        self._code = code

    def madvise(self, at: int, length: int, advice: int) -> int:
        self.asked.append((at, length, advice))
        ctypes.set_errno(self._code)
        return -1 if self._code else 0


@pytest.mark.parametrize(("code", "times"), [(0, 3), (errno.EAGAIN, 3), (errno.EINVAL, 1)])
def test_each_whole_huge_page_is_asked_for_until_the_kernel_has_none(
    small_tmpfs: Path, monkeypatch: pytest.MonkeyPatch, code: int, times: int
) -> None:
    made = Region.create(small_tmpfs / "bytes", 1 << 30)
    kernel = Kernel(code)
    monkeypatch.setattr(region, "_libc", kernel)
    made.reserve(0, 3 * HUGE + PAGE)
    array = made.array("u1", (3 * HUGE + PAGE,))
    assert kernel.asked == [(array.ctypes.data + n * HUGE, HUGE, region.MADV_COLLAPSE) for n in range(times)]
    assert backed(small_tmpfs / "bytes") == 3 * HUGE + PAGE
    assert not array.any()


def test_where_there_is_less_room_no_huge_page_is_asked_for(small_tmpfs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Region.create(small_tmpfs / "bytes", 1 << 30)
    kernel = Kernel(0)
    monkeypatch.setattr(region, "_libc", kernel)
    with pytest.raises(MemoryFullError):
        made.reserve(0, 5 * HUGE)
    assert kernel.asked == []
    assert backed(small_tmpfs / "bytes") == 0


def test_what_is_attached_cannot_be_written(tmp_path: Path) -> None:
    Region.create(tmp_path / "bytes", PAGE).reserve(0, PAGE)
    read = Region.attach(tmp_path / "bytes").array("i8", (2, 3))
    with pytest.raises(ValueError, match="read-only"):
        read[0, 0] = 1
    with pytest.raises(ValueError, match="WRITEABLE"):
        read.flags.writeable = True


def test_an_array_outlives_its_region(tmp_path: Path) -> None:
    made = Region.create(tmp_path / "bytes", PAGE)
    made.reserve(0, PAGE)
    array = made.array("i8", (10,))
    made.close()
    made.close()
    array[:] = 7
    assert array.sum() == 70


def test_private_memory_needs_no_room_of_a_file_system() -> None:
    made = Region.anonymous(1 << 40)
    made.reserve(0, 1 << 40)
    array = made.array("f4", (1 << 20,), 1 << 39)
    assert array[-1] == 0


def test_a_full_file_system_is_an_error_that_names_setting_and_sizes(small_tmpfs: Path) -> None:
    made = Region.create(small_tmpfs / "bytes", 1 << 30)
    made.grow(6 << 20)
    with pytest.raises(MemoryFullError, match=r"needs 3\.0 MiB more.* has 2\.0 MiB free of 8\.0 MiB.*live\.path"):
        made.grow(9 << 20)
    made.grow(8 << 20)
    assert made.array("u1", (8 << 20,)).sum() == 0


def test_a_folder_that_cannot_be_written_is_an_error_that_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(MemoryFullError, match=r"No such file or directory.*live\.path"):
        Region.create(tmp_path / "none" / "bytes", PAGE)


def test_more_addresses_than_there_are_is_an_error_that_names_the_settings(tmp_path: Path) -> None:
    for make in (Region.anonymous, lambda size: Region.create(tmp_path / "bytes", size)):
        with pytest.raises(MemoryFullError, match=r"live\.most_users"):
            make(1 << 62)


def test_a_limit_on_the_size_of_files_is_an_error_that_names_it(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from streammf.errors import MemoryFullError\n"
        "from streammf.state.region import Region\n"
        "try: Region.create(Path(sys.argv[1]), 1 << 30)\n"
        "except MemoryFullError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "bytes")],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (8 << 20, 8 << 20)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "ulimit -f" in done.stdout


@pytest.mark.parametrize(
    ("size", "said"), [(0, "0 KiB"), (1, "1 KiB"), (12 << 10, "12 KiB"), (3 << 20, "3.0 MiB"), (2 << 30, "2,048 MiB")]
)
def test_a_small_size_is_not_shown_as_none(size: int, said: str) -> None:
    assert mebibytes(size) == said
