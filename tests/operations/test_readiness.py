import pytest

from streammf.counters.block import OWN, Block
from streammf.operations.readiness import Limits, Sight, commit_age, reasons, remarks
from streammf.state.header import Header, Status
from streammf.trainer.note import Note

NOW = 1_700_000_000.0
LIMITS = Limits(stale=10.0, commit=1.0)
BOTH = {"trainer", "worker"}


def header(
    age: float = 0.5, status: Status = "learning", events: int = 5, committed: int = 5, committed_at: float = NOW - 1
) -> Header:
    return Header(status=status, events=events, committed_events=committed, committed_at=committed_at, published_at=NOW - age)


def alive(seconds_ago: float = 0.1) -> Block:
    block = Block.private(OWN)
    block.gauge("heartbeat").set(NOW - seconds_ago)
    return block


def sight(header: Header | None, note: Note | None = None, worker: Block | None = None) -> Sight:
    slots = {"trainer": alive(), "worker-1": worker or alive()}
    return Sight(NOW, header, slots, note or Note(since=NOW - 100))


def test_who_learns_and_answers_is_ready() -> None:
    assert reasons(sight(header()), BOTH, LIMITS) == []


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (sight(None), ["there is no model yet"]),
        (sight(None, Note(doing="the trainer opens the log")), ["there is no model yet", "the trainer opens the log"]),
        (sight(header(), Note(trouble="refused")), ["the log cannot be reached: refused"]),
        (sight(header(age=11)), ["the trainer has not been heard of for 11 s"]),
        (
            sight(header(events=1_007, committed_at=NOW - 50)),
            ["1,002 events wait to become durable; the last commit was 50 s ago"],
        ),
        (sight(header(), worker=alive(6)), ["no query worker is running"]),
    ],
)
def test_what_is_wrong_is_named(seen: Sight, words: list[str]) -> None:
    assert reasons(seen, BOTH, LIMITS) == words


def test_a_log_that_was_learned_to_its_end_is_no_reason() -> None:
    finished = sight(header(age=1_000, status="stopped"), Note(finished=True, since=NOW - 2_000))
    assert reasons(finished, BOTH, LIMITS) == remarks(finished, LIMITS) == []


def test_workers_are_ready_with_an_old_model_and_remark_on_it() -> None:
    seen = sight(header(age=50), Note(trouble="refused"))
    assert reasons(seen, {"worker"}, LIMITS) == []
    assert remarks(seen, LIMITS) == ["the log cannot be reached: refused", "the trainer has not been heard of for 50 s"]


def test_a_commit_is_late_only_where_something_waits_for_it() -> None:
    assert commit_age(sight(header(committed_at=NOW - 1_000))) == 0
    assert commit_age(sight(header(events=6, committed_at=NOW - 20))) == 20
    # none yet in this run: since it began to learn
    assert commit_age(sight(header(events=6, committed_at=0.0))) == 100
