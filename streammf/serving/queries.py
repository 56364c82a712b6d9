"""Queries: pure functions from a view of the model and a request to an answer.

Rules of this file:
1. A view goes in, an answer comes out: no socket, no clock, nothing remembered between two requests. Requests that come at
   once are answered together, because that is quicker; the answers are those that each would get alone.
2. One answer reads one view. Its position is the view's, older than the arrays: it includes at least these events.
3. Who is unknown gets popular items, labelled so; a list that is short or not personal says why (see protocol.md).
4. Row numbers stay inside: what comes in and goes out are ids.
"""

import os
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np

from streammf.errors import RequestError
from streammf.learning import answers
from streammf.learning.answers import Asked, Ranked
from streammf.learning.standing import standing
from streammf.learning.tables import Array
from streammf.serving.messages import (
    AnyQuery,
    HealthAnswer,
    Info,
    InfoAnswer,
    ModelAnswer,
    Popular,
    Position,
    Predict,
    PredictAnswer,
    Quality,
    RankedItem,
    RankingAnswer,
    Recommend,
    SimilarItems,
)
from streammf.serving.messages import Health as HealthRequest
from streammf.state.view import View

VERSION: Final = version("streammf")
NONE: Final[Array] = np.empty(0, np.int32)


def reached(view: View, at_least: Sequence[Position]) -> bool:
    """Whether the model includes every event before these positions. An unknown partition stands at 0."""
    if not at_least:
        return True
    included = {(topic, partition): offset for topic, partition, offset in view.header.positions}
    return all(included.get((topic, partition), 0) >= offset for topic, partition, offset in at_least)


class Listed(NamedTuple):
    """A list before its rows have become ids."""

    request_id: int | str
    ranked: Ranked
    reason: str | None


def answer_all(view: View, requests: Sequence[AnyQuery | Info], most_k: int) -> list[ModelAnswer | RequestError | None]:
    """The answer to each request, or why there is none; None: the position that it asks for is not reached."""
    due = {n for n, request in enumerate(requests) if isinstance(request, Info) or reached(view, request.at_least)}
    together = {n: r for n, r in enumerate(requests) if n in due and isinstance(r, Recommend) and r.k <= most_k}
    found: dict[int, ModelAnswer | RequestError] = dict(zip(together, recommend(view, list(together.values())), strict=True))
    for n in due - together.keys():
        try:
            found[n] = answer(view, requests[n], most_k)
        except RequestError as error:
            found[n] = error
    return [found.get(n) for n in range(len(requests))]


def answer(view: View, request: AnyQuery | Info, most_k: int) -> ModelAnswer:
    """The answer to a request. Raises RequestError where `k` is beyond what this server allows."""
    if not isinstance(request, Predict | Info) and request.k > most_k:
        raise RequestError("bad_request", f"k = {request.k}; this server allows up to {most_k} (serving.most_k)")
    match request:
        case Recommend():
            return recommend(view, [request])[0]
        case SimilarItems():
            return similar_items(view, request)
        case Popular():
            ranked = answers.popular(view.state, view.counts, view.options, request.k, NONE)
            return ranking(view, request.id, ranked, short(view, ranked, request.k, NONE))
        case Predict():
            return predict(view, request)
        case Info():
            return info(view, request)


def recommend(view: View, requests: Sequence[Recommend]) -> list[RankingAnswer]:
    """Items for users, and for anonymous visitors who have had some."""
    users = [request.user for request in requests if request.user is not None]
    user_rows = iter(view.user_rows(users).tolist())
    asked = [wanted(view, request, next(user_rows) if request.user is not None else -1) for request in requests]
    lists = []
    found = answers.recommend_many(view.state, view.counts, view.options, asked)
    for request, one, ranked in zip(requests, asked, found, strict=True):
        reason = short(view, ranked, request.k, one.exclude)
        if not ranked.personal and len(ranked.rows):
            reason = "no_known_items" if request.user is None else "unknown_user" if one.user_row < 0 else "no_history"
        lists.append(Listed(request.id, ranked, reason))
    return rankings(view, lists)


def wanted(view: View, request: Recommend, user_row: int) -> Asked:
    """A request in row numbers."""
    history, exclude = NONE, NONE
    if request.items is not None:
        rows = view.item_rows(request.items)
        history = rows[rows >= 0]
        if request.exclude_seen:
            exclude = history
    elif user_row >= 0 and request.exclude_seen:
        exclude = answers.seen_items(view.state, user_row)
    return Asked(user_row, history, request.k, exclude)


def similar_items(view: View, request: SimilarItems) -> RankingAnswer:
    """Items like an item."""
    row = view.item_row(request.item)
    if row < 0:
        nothing = Ranked(NONE, np.empty(0, np.float32), personal=False)
        return ranking(view, request.id, nothing, short(view, nothing, 0, NONE) or "unknown_item")
    ranked = answers.similar_items(view.state, view.counts, view.options, row, request.k)
    return ranking(view, request.id, ranked, short(view, ranked, request.k, NONE))


def predict(view: View, request: Predict) -> PredictAnswer:
    """What a user thinks of an item."""
    user, item = view.user_row(request.user), view.item_row(request.item)
    return PredictAnswer(
        request.id,
        value=float(answers.predict(view.state, view.counts, view.options, user, item)),
        user_known=user >= 0,
        item_known=item >= 0,
        position=view.header.positions,
        events=view.header.events,
    )


def short(view: View, ranked: Ranked, k: int, exclude: Array) -> str | None:
    """Why a list is shorter than asked for; None: it is not."""
    if not view.header.known[1]:
        return "empty_model"
    if len(ranked.rows) >= k:
        return None
    return "all_seen" if len(exclude) else "few_items"


def ranking(view: View, request_id: int | str, ranked: Ranked, reason: str | None) -> RankingAnswer:
    """Rows to ids."""
    return rankings(view, [Listed(request_id, ranked, reason)])[0]


def ranked_item(item: str, score: float, sources: dict[str, float]) -> RankedItem:
    """An item of a list; the parts are said where there is more than one source that could have put it there."""
    source = next(iter(sources))
    return RankedItem(item, score, source) if len(sources) == 1 else RankedItem(item, score, source, sources)


def rankings(view: View, lists: Sequence[Listed]) -> list[RankingAnswer]:
    """Rows to ids, of all lists at once."""
    rows = [one.ranked.rows for one in lists]
    names = iter(view.item_names(np.concatenate(rows))) if rows else iter(())
    found = []
    for one in lists:
        parts = zip(one.ranked.scores.tolist(), answers.sources(one.ranked), strict=True)
        named = [(next(names), score, sources) for score, sources in parts]
        items = [ranked_item(name, score, sources) for name, score, sources in named if name]  # "": forgotten meanwhile
        said: dict[str, Any] = {} if one.reason is None else {"reason": one.reason}
        answer = RankingAnswer(one.request_id, items=items, position=view.header.positions, events=view.header.events, **said)
        found.append(answer)
    return found


def info(view: View, request: Info) -> InfoAnswer:
    """What this worker serves."""
    header = view.header
    return InfoAnswer(
        request.id,
        version=VERSION,
        objective=view.options.objective,
        users=header.known[0],
        items=header.known[1],
        clock=header.clock,
        rejected=header.rejected,
        refused=header.refused,
        committed=header.committed_events,
        generation=header.generation,
        trainer_pid=header.trainer_pid,
        pid=os.getpid(),
        position=header.positions,
        events=header.events,
        quality=Quality(**msgspec.structs.asdict(standing(view.state, view.options))),
    )


def health(view: View, request: HealthRequest, now: float, stale_seconds: float) -> HealthAnswer:
    """How this worker is, at `now` (wall clock, s)."""
    header = view.header
    age = max(now - header.published_at, 0.0)
    said: dict[str, Any] = {}
    if header.status == "recovering":
        said = {"reason": "the trainer is reading back what it had learned"}
    elif header.status == "stopped":
        said = {"reason": "the trainer has stopped; answers are from what it had learned"}
    elif age > stale_seconds:
        said = {"reason": f"the trainer has not been heard of for {age:.0f} s; answers are from what it had learned"}
    return HealthAnswer(
        request.id,
        status="stale" if said else "ok",
        ready=header.status != "recovering",
        age=age,
        trainer=header.status,
        position=header.positions,
        events=header.events,
        **said,
    )
