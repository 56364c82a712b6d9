"""Generations: which folder readers are sent to, and which are removed."""

import os
import shutil
from pathlib import Path

import pytest

from streammf.errors import MemoryFullError, NoModelError, StoreBusyError
from streammf.state.generation import Generations, current, remove


def folders(base: Path) -> set[str]:
    return {path.name for path in base.iterdir() if path.is_dir() and not path.is_symlink()}


def test_a_generation_is_not_current_before_it_is_published(tmp_path: Path) -> None:
    generations = Generations(tmp_path / "live")
    number, folder = generations.begin()
    assert (number, current(generations.base)) == (1, None)
    generations.publish(folder)
    assert current(generations.base) == folder.name


def test_the_old_one_stays_until_the_new_one_is_published(tmp_path: Path) -> None:
    base = tmp_path / "live"
    first = Generations(base)
    _, old = first.begin()
    first.publish(old)
    first.close()
    second = Generations(base)
    number, new = second.begin()
    assert number == 2
    assert folders(base) == {old.name, new.name}
    assert current(base) == old.name
    second.publish(new)
    assert folders(base) == {new.name}


def test_what_a_crash_left_is_removed_by_the_next_trainer(tmp_path: Path) -> None:
    base = tmp_path / "live"
    first = Generations(base)
    _, used = first.begin()
    first.publish(used)
    _, unseen = first.begin()
    (unseen / "half").touch()
    (base / "current.new").symlink_to(unseen.name)
    first.close()  # as the kernel does for a process that is killed
    second = Generations(base)
    number, new = second.begin()
    assert number == 3, "a number is not used again"
    assert folders(base) == {used.name, new.name}
    second.publish(new)
    assert sorted(path.name for path in base.iterdir()) == ["current", new.name, "lock"]
    second.close()
    assert Generations(base).begin()[0] == 4


def test_two_trainers_cannot_write_one_live_memory(tmp_path: Path) -> None:
    first = Generations(tmp_path / "live")
    with pytest.raises(StoreBusyError, match=r"live\.path"):
        Generations(tmp_path / "live")
    first.close()
    first.close()
    Generations(tmp_path / "live")


def test_a_base_that_cannot_be_made_is_an_error_that_names_the_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MemoryFullError, match=r"live\.path"):
        Generations(tmp_path / "file" / "live")


def test_only_the_owner_may_look_inside(tmp_path: Path) -> None:
    generations = Generations(tmp_path / "live")
    _, folder = generations.begin()
    assert {os.stat(path).st_mode & 0o077 for path in (generations.base, folder)} == {0}


def test_who_publishes_where_everything_was_removed_is_told_so(tmp_path: Path) -> None:
    generations = Generations(tmp_path / "live")
    _, folder = generations.begin()
    shutil.rmtree(tmp_path / "live")
    with pytest.raises(NoModelError, match=r"was removed.*start the trainer again"):
        generations.publish(folder)
    generations.close()


def test_remove_gives_everything_back(tmp_path: Path) -> None:
    generations = Generations(tmp_path / "live")
    generations.begin()
    generations.close()
    remove(tmp_path / "live")
    remove(tmp_path / "live")
    assert not (tmp_path / "live").exists()
