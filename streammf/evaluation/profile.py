"""What a log is, and whether matrix factorisation suits it.

Rules of this file:
1. Numbers first, then the verdict, which says by which rule: more than 99 % of the pairs without an event, more than 10,000
   events, and a popularity that is shared unevenly (a power law). They are rules of thumb; what is measured decides.
2. Whoever is told that it does not suit is told what does.
"""

from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from streammf.evaluation.whole_log import WholeLog
from streammf.learning.options import LearningOptions

ENOUGH_EVENTS: Final = 10_000
SPARSE: Final = 0.99
#: Below it a table of users and items is so full that means and neighbours read it off.
DENSE: Final = 0.90
#: Part of the events that the most popular fifth of the items must have at least.
UNEVEN: Final = 0.5
#: Events an item and a user have on average, below which vectors have nothing to learn from.
FEWEST_EACH: Final = 2.0
#: Items with fewer events are left out of the exponent: counts of one and two are not a tail.
TAIL_FROM: Final = 5


class Profile(msgspec.Struct, frozen=True):
    """A log in numbers."""

    name: str
    events: int
    rejected: int
    """Records that are no event."""
    why_rejected: str
    users: int
    items: int
    sparsity: float
    """Part of all pairs of user and item without an event."""
    since: int
    """ms since the epoch."""
    until: int
    types: dict[str, int]
    values: dict[str, int]
    """The most frequent values, and how often each."""
    repeats: float
    """Part of the events whose user had had the item before."""
    late: float
    """Part of the events that stood behind a later one in the log."""
    tied: float
    """Part of the events at the same moment as another of the same user: baskets, whose order means nothing."""
    head: float
    """Part of the events that the most popular fifth of the items has."""
    exponent: float | None
    """Of the power law that an item's number of events follows, by maximum likelihood; None: too few items."""
    suits: str
    """"yes", "doubtful" or "no"."""
    why: list[str]
    """In words, what speaks against it, and what to use instead; or what speaks for it."""


def profile(log: WholeLog, options: LearningOptions) -> Profile:
    """Describe a log."""
    pairs = log.user.astype(np.int64) * log.items.count + log.item
    distinct = len(np.unique(pairs))
    sparsity = 1.0 - distinct / (log.users.count * log.items.count)
    counts = np.sort(np.bincount(log.item, minlength=log.items.count))[::-1]
    head = float(counts[: max(1, round(0.2 * len(counts)))].sum() / len(log))
    suits, why = verdict(len(log), log.users.count, log.items.count, sparsity, head, options.objective)
    values, times = np.unique(log.value, return_counts=True)
    most = np.argsort(-times, kind="stable")[:10]
    return Profile(
        name=log.name,
        events=len(log),
        rejected=log.rejected,
        why_rejected=log.why_rejected,
        users=log.users.count,
        items=log.items.count,
        sparsity=sparsity,
        since=int(log.time[0]),
        until=int(log.time[-1]),
        types={kind: int((log.kind == place).sum()) for place, kind in enumerate(log.kinds)},
        values={f"{values[n]:g}": int(times[n]) for n in sorted(most.tolist())},
        repeats=1.0 - distinct / len(log),
        late=log.late / len(log),
        tied=tied(log),
        head=head,
        exponent=exponent(counts),
        suits=suits,
        why=why,
    )


def tied(log: WholeLog) -> float:
    """See Profile.tied."""
    order = np.lexsort((log.time, log.user))
    same = (log.user[order][1:] == log.user[order][:-1]) & (log.time[order][1:] == log.time[order][:-1])
    touched = np.zeros(len(log), np.bool_)
    touched[1:] |= same
    touched[:-1] |= same
    return float(touched.mean())


def exponent(counts: NDArray[np.int64]) -> float | None:
    """α of P(count) ∝ count^-α over counts of at least TAIL_FROM (Clauset, Shalizi, Newman 2009, eq. 3.7)."""
    tail = counts[counts >= TAIL_FROM]
    if len(tail) < 50:
        return None
    return float(1.0 + len(tail) / np.log(tail / (TAIL_FROM - 0.5)).sum())


def verdict(events: int, users: int, items: int, sparsity: float, head: float, objective: str) -> tuple[str, list[str]]:
    """Whether it suits, and why."""
    simple = "neighbours or popularity" if objective == "ranking" else "the means of users and items"
    against, doubts = [], []
    if events < ENOUGH_EVENTS:
        against.append(f"{events:,} events are fewer than {ENOUGH_EVENTS:,}: too few to learn vectors from; use {simple}")
    if sparsity < DENSE:
        against.append(f"dense: {1 - sparsity:.0%} of all pairs have an event; a table of neighbours reads it off directly")
    elif sparsity < SPARSE:
        doubts.append(f"{sparsity:.1%} of the pairs have no event, less than {SPARSE:.0%}: neighbours may do as well")
    if events / users < FEWEST_EACH:
        doubts.append(
            f"{events / users:.1f} events a user: most are gone before a taste is known; popularity and neighbours matter more"
        )
    if events / items < FEWEST_EACH:
        doubts.append(f"{events / items:.1f} events an item: attributes of the items would say more than vectors can")
    if head < UNEVEN:
        doubts.append(f"popularity is even: the top fifth of the items has {head:.0%} of the events, no power law")
    if against:
        return "no", against + doubts
    if doubts:
        return "doubtful", doubts
    return "yes", [
        f"{sparsity:.2%} of the pairs have no event, {events:,} events, and the top fifth of the items has {head:.0%} of them"
    ]


def mistaken(log: WholeLog, options: LearningOptions) -> str:
    """Why the log cannot be evaluated for this objective; empty where it can."""
    found = np.unique(log.value)
    kinds = set(log.kinds)
    if options.objective == "rating":
        if len(found) == 1:
            return (
                f"every value in {log.name} is {found[0]:g}: there is no rating to foretell; "
                'clicks are for learning.objective = "ranking" (--objective ranking)'
            )
        return ""
    if len(log.weights(options)) and not (log.weights(options) > 0).any():
        return f"no event in {log.name} is positive: learning.positive_from = {options.positive_from:g} leaves none"
    steps = len(found) > 2 and bool(np.all(found * 2 == np.round(found * 2))) and found[0] > 0 and found[-1] <= 10
    if options.positive_from <= 0 and (kinds == {"rating"} or steps) and len(found) > 2:
        return (
            f"{log.name} holds ratings ({found[0]:g} to {found[-1]:g}), and a ranking would take a bad one for a choice too: "
            f"say --objective rating, or --positive-from {np.ceil(found[-1] * 0.8):g} to rank what people liked"
        )
    return ""
