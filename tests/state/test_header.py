"""The header: what is written is what is read, whole, whoever is in the middle of what."""

import threading
from pathlib import Path

import numpy as np
import pytest

from streammf.errors import ConfigurationError
from streammf.state.header import PLACE, Header, HeaderFile
from streammf.state.region import PAGE


def header(number: int, partitions: int = 1) -> Header:
    positions = [("clicks", p, number) for p in range(partitions)]
    return Header(status="learning", events=number, clock=number, positions=positions, counts=[number] * 6)


def test_a_header_is_read_as_it_was_written(tmp_path: Path) -> None:
    writer = HeaderFile.create(tmp_path / "header")
    reader = HeaderFile.attach(tmp_path / "header")
    assert reader.read() is None
    for number, partitions in enumerate((1, 0, 1000, 4), 1):
        writer.write(header(number, partitions))
        assert reader.sequence == number
        assert reader.read() == (number, header(number, partitions))


def test_a_header_that_was_cut_off_leaves_the_one_before_it(tmp_path: Path) -> None:
    writer = HeaderFile.create(tmp_path / "header")
    reader = HeaderFile.attach(tmp_path / "header")
    writer.write(header(1))
    writer.write(header(2))
    inside = np.memmap(tmp_path / "header", np.uint8, "r+")
    first = PAGE + PLACE  # odd numbers' place: where the third would be written
    inside[first : first + 40] = 255  # killed before its last step
    assert reader.read() == (2, header(2))


def test_a_torn_header_is_read_again_until_it_is_whole(tmp_path: Path) -> None:
    writer = HeaderFile.create(tmp_path / "header")
    reader = HeaderFile.attach(tmp_path / "header")
    writer.write(header(1))
    inside = np.memmap(tmp_path / "header", np.uint8, "r+")
    last = PAGE + PLACE + 30
    inside[last] ^= 1
    assert reader.read() is None
    inside[last] ^= 1
    assert reader.read() == (1, header(1))


def test_readers_beside_a_busy_writer_see_whole_headers_in_order(tmp_path: Path) -> None:
    writer = HeaderFile.create(tmp_path / "header")
    reader = HeaderFile.attach(tmp_path / "header")
    writer.write(header(1))

    def publish() -> None:
        for number in range(2, 5_000):
            writer.write(header(number, number % 50))

    thread = threading.Thread(target=publish, daemon=True)
    thread.start()
    last = 0
    while last < 4_999:
        read = reader.read()
        assert read is not None
        number, seen = read
        assert number >= last
        assert seen == header(number, number % 50 if number > 1 else 1)
        last = number
    thread.join()


def test_positions_beyond_the_place_are_an_error(tmp_path: Path) -> None:
    writer = HeaderFile.create(tmp_path / "header")
    large = Header(status="learning", positions=[("t" * 249, 0, 0)] * 20_000)
    with pytest.raises(ConfigurationError, match="positions"):
        writer.write(large)
