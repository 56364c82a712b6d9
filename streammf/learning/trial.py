"""One trial: what every method would have answered an event's user just before the event, and how that was.

Rules of this file:
1. As in `measures`: the event's item is ranked among all items met so far, without those the user already had; equal
   scores count half. Tried are events whose item is in the catalogue and new to the user.
2. A method is a row of scores, one an item. The first row is what serves: its list is noted too.
3. What is done here knows nothing of where the scores come from, and changes no state.
"""

from typing import Final, NamedTuple

from streammf.learning.arguments import array_type, tuple_type
from streammf.learning.compiling import inner
from streammf.learning.room import spaced
from streammf.learning.scan import FREE, arrange, empty, offer
from streammf.learning.seen import stamp_seen
from streammf.learning.tables import Array, State

#: Length of the lists that are judged.
LISTED: Final = 10
#: What is done with an event: nothing, a trial before it is learned from, a trial although the user had the item already.
SKIP, TRY, AGAIN = range(3)


class Trials(NamedTuple):
    """Room for the trials of a batch of n events, and what they need."""

    rank: Array  # float64 (n, methods): how many items score higher; -1: no trial
    listed: Array  # int32 (n, LISTED): item rows of the list that serves, the best first; -1: no more
    scores: Array  # float64 (methods, items)
    stamps: Array  # int64 (items,): the last trial that left the item out
    best: Array  # float64 (LISTED,): the heap of the list
    number: Array  # int64 (1,): trials so far


TRIALS = tuple_type(
    [
        array_type("f8", 2), array_type("i4", 2), array_type("f8", 2), array_type("i8", 1), array_type("f8", 1),
        array_type("i8", 1),
    ],
    Trials,
)  # fmt: skip


def trials(methods: int, items: int, most: int) -> Trials:
    """Room for batches of at most `most` events."""
    return Trials(
        rank=spaced((most, methods), "f8"),
        listed=spaced((most, LISTED), "i4"),
        scores=spaced((methods, items), "f8"),
        stamps=spaced(items, "i8", -1),
        best=spaced(LISTED, "f8"),
        number=spaced(1, "i8"),
    )


@inner
def rank_of(scores: Array, events: Array, item: int, stamps: Array, stamp: int) -> float:
    """How many items that are not stamped score higher than `item`; equal ones count half, scores that are no number whole."""
    rank = 0.0
    own = scores[item]
    for row in range(len(scores)):
        if not scores[row] < own and row != item and events[row] > 0 and stamps[row] != stamp:
            rank += 0.5 if scores[row] == own else 1.0
    return rank


@inner
def write_list(scores: Array, events: Array, stamps: Array, stamp: int, best: Array, rows: Array) -> None:
    """rows = the items that are not stamped and score highest, the best first."""
    empty(best, rows)
    for row in range(len(scores)):
        if scores[row] > best[0] and events[row] > 0 and stamps[row] != stamp:
            offer(best, rows, scores[row], row)
    arrange(best, rows)
    for place in range(len(rows)):
        if rows[place] == FREE:
            rows[place] = -1


@inner
def judge(trials: Trials, n: int, events: Array, item: int, stamp: int) -> None:
    """Write rank and list of event n from the scores."""
    for method in range(trials.rank.shape[1]):
        trials.rank[n, method] = rank_of(trials.scores[method], events, item, trials.stamps, stamp)
    write_list(trials.scores[0], events, trials.stamps, stamp, trials.best, trials.listed[n])


@inner
def begin(trials: Trials, state: State, n: int, user: int, item: int, how: int) -> int:
    """The stamp of the trial of event n, which then is on all items that the user had; -1: there is none, and that is written.

    how: SKIP, TRY or AGAIN.
    """
    no_trial(trials, n)
    if how == SKIP or state.items.events[item] == 0:
        return -1
    stamp = trials.number[0]
    trials.number[0] += 1
    stamp_seen(state.seen, state.users.seen_block[user], trials.stamps, stamp)
    return stamp if how == AGAIN or trials.stamps[item] != stamp else -1


@inner
def no_trial(trials: Trials, n: int) -> None:
    """Write that there was none."""
    for method in range(trials.rank.shape[1]):
        trials.rank[n, method] = -1.0
    for place in range(trials.listed.shape[1]):
        trials.listed[n, place] = -1
