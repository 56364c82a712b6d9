"""Live memory: one process writes, others see it; whatever the writer does, readers go on."""

import shutil
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from streammf.errors import MemoryFullError, NoModelError, StoreBusyError
from streammf.learning.options import LearningOptions
from streammf.learning.tables import Axis
from streammf.state import generation
from streammf.state.header import HEADER
from streammf.state.live import OPTIONS, LiveReader, LiveWriter
from streammf.state.memory import LAYOUT
from streammf.state.options import LiveOptions, live_path
from tests.state import live_processes as processes
from tests.state.live_processes import LIMITS, header_of, learn_until, name_of, serve, started, train


def begun(base: Path, users: int) -> LiveWriter:
    writer = LiveWriter(base, processes.OPTIONS, LIMITS)
    learn_until(writer, users)
    writer.publish(header_of(users))
    return writer


def folders(base: Path) -> list[str]:
    return sorted(path.name for path in base.iterdir() if path.name.startswith("generation-"))


def test_nothing_is_there_before_the_first_publication(tmp_path: Path) -> None:
    reader = LiveReader(tmp_path / "live")
    with pytest.raises(NoModelError, match=str(tmp_path / "live")):
        reader.view()
    writer = LiveWriter(tmp_path / "live", processes.OPTIONS, LIMITS)
    with pytest.raises(NoModelError, match=r"live\.path"):
        reader.view()
    writer.publish(header_of(0))
    assert reader.view().header.events == 0


def test_what_is_published_is_seen_with_what_belongs_to_it(tmp_path: Path) -> None:
    writer = begun(tmp_path, 10)
    view = LiveReader(tmp_path).view()
    assert view.header.status == "learning"
    assert view.header.positions == [("users", 0, 10)]
    assert view.header.generation == 1
    assert view.counts.tolist() == [10, 0, 0, 0, 100, 1, 0]
    assert view.options == processes.OPTIONS
    assert [view.user_row(name_of(n)) for n in (0, 9, 10)] == [0, 9, -1]
    assert np.array_equal(view.state.users.bias[:10], writer.memory.state.users.bias[:10])


def test_a_view_that_nothing_was_published_after_is_the_same_object(tmp_path: Path) -> None:
    writer = begun(tmp_path, 10)
    reader = LiveReader(tmp_path)
    view = reader.view()
    assert reader.view() is view
    writer.publish(header_of(10))
    assert reader.view() is not view


def test_a_view_keeps_its_ids_and_counts_whatever_is_published_after_it(tmp_path: Path) -> None:
    writer = begun(tmp_path, 10)
    reader = LiveReader(tmp_path)
    early = reader.view()
    learn_until(writer, 20_000)
    assert reader.view().user_row(name_of(15_000)) == -1, "not published yet"
    writer.publish(header_of(20_000))
    assert reader.view().user_row(name_of(15_000)) == 15_000
    assert early.user_row(name_of(15_000)) == -1
    assert early.user_row(name_of(9)) == 9
    assert early.counts[Axis.USER] == 10


def test_a_new_generation_is_taken_over_and_the_old_view_stays_good(tmp_path: Path) -> None:
    begun(tmp_path, 10).close()
    reader = LiveReader(tmp_path)
    old = reader.view()
    assert old.header.status == "stopped"
    writer = LiveWriter(tmp_path, processes.OPTIONS, LIMITS)
    learn_until(writer, 500)
    assert reader.view() is old, "the new one is not ready"
    writer.publish(header_of(500))
    assert folders(tmp_path) == ["generation-2"]
    assert (reader.view().header.generation, reader.view().header.events) == (2, 500)
    assert old.user_row(name_of(9)) == 9
    assert old.state.users.bias[9] == 9


def test_a_reader_keeps_what_it_has_when_the_folder_is_lost(tmp_path: Path) -> None:
    base = tmp_path / "live"
    begun(base, 10)
    reader = LiveReader(base)
    view = reader.view()
    base.rename(tmp_path / "elsewhere")
    assert reader.view() is view
    (base / "generation-9").mkdir(parents=True)
    (base / "current").symlink_to("generation-9")
    assert reader.view() is view, "there is nothing to read in the new one"


def test_a_writer_whose_folder_was_removed_says_so_with_the_remedy(tmp_path: Path) -> None:
    base = tmp_path / "live"
    with closing(LiveWriter(base, processes.OPTIONS, LIMITS)) as writer:
        writer.require_kept()
        shutil.rmtree(base)
        with pytest.raises(NoModelError, match=rf"{base} was removed.*start the trainer again.*live\.path"):
            writer.require_kept()


def test_a_generation_of_the_same_name_is_taken_over_once_the_old_memory_was_given_back(tmp_path: Path) -> None:
    begun(tmp_path / "live", 10).close()
    reader = LiveReader(tmp_path / "live")
    assert reader.view().header.events == 10
    generation.remove(tmp_path / "live")
    assert reader.view().header.events == 10
    begun(tmp_path / "live", 20)
    view = reader.view()
    assert (view.header.generation, view.header.events) == (1, 20)


@pytest.mark.parametrize("file", [LAYOUT, OPTIONS])
def test_a_generation_of_another_version_is_refused_unless_there_is_an_older_one(tmp_path: Path, file: str) -> None:
    begun(tmp_path, 10).close()
    reader = LiveReader(tmp_path)
    view = reader.view()
    writer = LiveWriter(tmp_path, processes.OPTIONS, LIMITS)
    (tmp_path / "generation-2" / file).write_text('{"unknown": 1}')
    writer.publish(header_of(20))
    assert reader.view() is view
    with pytest.raises(NoModelError, match="one version of StreamMF"):
        LiveReader(tmp_path).view()


def test_a_generation_without_a_header_is_no_model(tmp_path: Path) -> None:
    begun(tmp_path, 10).close()
    with (tmp_path / "generation-1" / HEADER).open("r+b") as header:
        header.write(bytes(8))
    with pytest.raises(NoModelError):
        LiveReader(tmp_path).view()


def test_closing_says_stopped_and_readers_go_on(tmp_path: Path) -> None:
    writer = begun(tmp_path, 10)
    reader = LiveReader(tmp_path)
    assert reader.view().header.status == "learning"
    writer.close()
    writer.close()
    assert reader.view().header.status == "stopped"
    assert reader.view().header.events == 10
    reader.close()
    assert reader.view().header.events == 10


def test_closing_before_the_first_publication_leaves_no_folder(tmp_path: Path) -> None:
    LiveWriter(tmp_path, processes.OPTIONS, LIMITS).close()
    assert folders(tmp_path) == []


def test_a_second_trainer_is_refused(tmp_path: Path) -> None:
    begun(tmp_path, 1)
    with pytest.raises(StoreBusyError):
        LiveWriter(tmp_path, processes.OPTIONS, LIMITS)


def test_a_start_without_room_leaves_the_old_generation_and_nothing_else(small_tmpfs: Path) -> None:
    begun(small_tmpfs, 10).close()
    large = LearningOptions(recent=1_000_000)
    for _ in range(2):
        with pytest.raises(MemoryFullError, match=r"of 8\.0 MiB.*live\.path"):
            LiveWriter(small_tmpfs, large, LIMITS)
    assert folders(small_tmpfs) == ["generation-1"]
    assert LiveReader(small_tmpfs).view().header.events == 10


def test_a_full_file_system_stops_learning_and_not_serving(small_tmpfs: Path) -> None:
    writer = begun(small_tmpfs, 10)
    reader = LiveReader(small_tmpfs)

    def learn() -> None:
        for users in range(1_000, LIMITS.users, 1_000):
            learn_until(writer, users)
            writer.publish(header_of(users))

    with pytest.raises(MemoryFullError):
        learn()
    view = reader.view()
    users = view.header.events
    assert users > 10_000
    assert view.user_row(name_of(users - 1)) == users - 1
    writer.close()
    assert reader.view().header.status == "stopped"


def test_the_default_path_is_the_stores_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    default = LiveOptions()
    paths = {live_path(default, Path(store)) for store in ("a", "b", str(tmp_path / "a"), "x/../a")}
    assert len(paths) == 2
    assert live_path(LiveOptions(path="here"), Path("a")) == Path("here")


def test_processes_see_new_rows_and_values_and_grow_without_mapping_again(tmp_path: Path) -> None:
    with started((train, tmp_path)) as [trainer]:
        trainer.ask((10, 10))
        with started((serve, tmp_path), (serve, tmp_path)) as workers:
            first = [worker.ask(9) for worker in workers]
            assert [answer[:4] for answer in first] == [(1, 10, 9, 9.0)] * 2
            for users in (11, 5_000, 200_000):
                trainer.ask((users, users))
                for worker, (*_, address) in zip(workers, first, strict=True):
                    assert worker.ask(users - 1) == (1, users, users - 1, users - 1, address)
                    assert worker.ask(users)[2] == -1


def test_headers_and_rows_agree_while_a_process_publishes_as_fast_as_it_can(tmp_path: Path) -> None:
    with started((train, tmp_path)) as [trainer]:
        trainer.ask((1, 1))
        reader = LiveReader(tmp_path)
        trainer.tell((2, 20_000))
        events = seen = 0
        while events < 20_000:
            view = reader.view()
            seen += view.header.events > events
            assert view.header.events >= events
            events = view.header.events
            assert view.header.clock == view.counts[Axis.USER] == view.header.positions[0][2] == events
            assert view.state.users.bias[events - 1] == events - 1
            assert view.user_row(name_of(events - 1)) == events - 1
        assert seen > 10


def test_a_killed_trainer_leaves_workers_serving_until_the_next_one_is_ready(tmp_path: Path) -> None:
    with started((train, tmp_path), (serve, tmp_path)) as [trainer, worker]:
        trainer.ask((300, 300))
        assert worker.ask(299)[:3] == (1, 300, 299)
        trainer.kill()
        assert worker.ask(299)[:4] == (1, 300, 299, 299.0)
        with started((train, tmp_path)) as [unseen]:  # killed before it publishes
            assert worker.ask(299)[0] == 1
            assert folders(tmp_path) == ["generation-1", "generation-2"]
            unseen.kill()
        with started((train, tmp_path)) as [successor]:
            assert folders(tmp_path) == ["generation-1", "generation-3"]
            assert worker.ask(299)[:3] == (1, 300, 299)
            successor.ask((400, 400))
            assert worker.ask(399)[:4] == (3, 400, 399, 399.0)
            assert folders(tmp_path) == ["generation-3"]
