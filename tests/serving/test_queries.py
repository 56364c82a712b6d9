"""Queries against a real live model: who is known gets taste, who is not what is popular, and everybody a reason."""

from pathlib import Path

import pytest

from streammf.errors import RequestError
from streammf.learning.tables import Axis
from streammf.serving import queries
from streammf.serving.messages import (
    AnyQuery,
    Health,
    Info,
    Popular,
    Predict,
    PredictAnswer,
    RankingAnswer,
    Recommend,
    SimilarItems,
)
from streammf.state.view import View
from tests.serving.live_models import BLUE, RED, LiveModel, two_tastes

MOST_K = 100


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> View:
    return two_tastes(tmp_path_factory.mktemp("live")).view


def listed(view: View, request: Recommend | SimilarItems | Popular) -> RankingAnswer:
    answer = queries.answer(view, request, MOST_K)
    assert isinstance(answer, RankingAnswer)
    assert answer.id == request.id
    assert answer.position == [("events", 0, view.header.events)]
    assert answer.events == view.header.events
    scores = [item.score for item in answer.items]
    assert scores == sorted(scores, reverse=True)
    return answer


def names(answer: RankingAnswer) -> list[str]:
    return [item.item for item in answer.items]


def sources(answer: RankingAnswer) -> set[str]:
    return {item.source for item in answer.items}


def said(answer: object) -> object:
    """The reason; None where it is not sent."""
    reason = getattr(answer, "reason", None)
    return reason if isinstance(reason, str) else None


@pytest.mark.parametrize("taste", ["red", "blue"])
def test_a_user_gets_what_the_user_has_not_had_and_others_of_that_taste_like(view: View, taste: str) -> None:
    for n in range(10):
        answer = listed(view, Recommend(1, user=f"{taste} {n}", k=4))
        assert {name.rstrip("0123456789") for name in names(answer)} == {taste}
        assert (sources(answer), said(answer)) == ({"factors"}, None)


def test_what_was_seen_comes_back_only_when_asked_for(view: View) -> None:
    with_seen = names(listed(view, Recommend(1, user="red 0", k=24, exclude_seen=False)))
    without = listed(view, Recommend(1, user="red 0", k=24))
    assert sorted(with_seen) == sorted(RED + BLUE)
    assert len(without.items) == 16
    assert said(without) == "all_seen"


def test_seen_items_stay_excluded_beyond_the_history(tmp_path: Path) -> None:
    """The ring holds 8 events; the 200 items before them are seen all the same."""
    live = LiveModel(tmp_path).learn([("ann", f"item{n}") for n in range(200)] + [("bob", "other")]).publish()
    assert names(listed(live.view, Recommend(1, user="ann", k=100))) == ["other"]


def test_an_anonymous_visitor_gets_what_goes_with_the_visitors_items(view: View) -> None:
    answer = listed(view, Recommend(1, items=["nothing", "blue1", "blue2", "blue1"], k=5))
    assert {name.rstrip("0123456789") for name in names(answer)} == {"blue"}
    assert not {"blue1", "blue2"} & set(names(answer))
    assert (sources(answer), said(answer)) == ({"factors"}, None)
    again = listed(view, Recommend(1, items=["blue1", "blue2"], k=24, exclude_seen=False))
    assert {"blue1", "blue2"} < set(names(again))


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (Recommend(1, user="nobody", k=5), "unknown_user"),
        (Recommend(1, user="n" * 255, k=5), "unknown_user"),
        (Recommend(1, user="ä" * 255, k=5), "unknown_user"),
        (Recommend(1, user="a\0b", k=5), "unknown_user"),
        (Recommend(1, items=["nothing"], k=5), "no_known_items"),
    ],
    ids=["unknown", "255 bytes", "510 bytes", "NUL", "anonymous"],
)
def test_who_is_unknown_gets_popular_items_labelled_so(view: View, request_: Recommend, reason: str) -> None:
    answer = listed(view, request_)
    assert (len(answer.items), sources(answer), said(answer)) == (5, {"popular"}, reason)
    assert names(answer) == names(listed(view, Popular(1, k=5)))


def test_a_user_whose_events_teach_nothing_gets_popular_items_without_the_seen_ones(tmp_path: Path) -> None:
    live = two_tastes(tmp_path, types={"click": 1.0, "impression": 0.0}).learn([("new", "red0")], kind="impression")
    answer = listed(live.publish().view, Recommend(1, user="new", k=24))
    assert "red0" not in names(answer)
    assert (len(answer.items), sources(answer), said(answer)) == (23, {"popular"}, "no_history")


def test_a_user_who_has_had_everything_gets_an_empty_list_with_the_reason(tmp_path: Path) -> None:
    live = LiveModel(tmp_path).learn([("ann", "a"), ("ann", "b")]).publish()
    answer = listed(live.view, Recommend(1, user="ann"))
    assert (answer.items, said(answer)) == ([], "all_seen")


def test_a_model_that_has_learned_nothing_says_so(tmp_path: Path) -> None:
    view = LiveModel(tmp_path).publish().view
    for request in (Recommend(1, user="ann"), Recommend(1, items=["a"]), Popular(1), SimilarItems(1, item="a")):
        answer = listed(view, request)
        assert (answer.items, said(answer)) == ([], "empty_model")


def test_popular_items_are_listed_with_their_source_and_a_short_list_says_why(view: View) -> None:
    answer = listed(view, Popular(1, k=30))
    assert (len(answer.items), sources(answer), said(answer)) == (24, {"popular"}, "few_items")


def test_similar_items_are_of_the_same_taste_and_not_the_item_itself(view: View) -> None:
    answer = listed(view, SimilarItems(1, item="red3", k=5))
    assert {name.rstrip("0123456789") for name in names(answer)} == {"red"}
    assert "red3" not in names(answer)
    assert (len(answer.items), sources(answer), said(answer)) == (5, {"factors"}, None)


def test_an_unknown_item_has_no_similar_ones_and_the_answer_says_so(view: View) -> None:
    answer = listed(view, SimilarItems(1, item="nothing"))
    assert (answer.items, said(answer)) == ([], "unknown_item")


def predicted(view: View, user: str, item: str) -> PredictAnswer:
    answer = queries.answer(view, Predict(1, user=user, item=item), MOST_K)
    assert isinstance(answer, PredictAnswer)
    return answer


def test_a_prediction_agrees_with_the_list_and_says_who_is_known(view: View) -> None:
    for item in listed(view, Recommend(1, user="red 0", k=24)).items:
        answer = predicted(view, "red 0", item.item)
        assert answer.value == pytest.approx(item.score, rel=1e-4)
        assert (answer.user_known, answer.item_known) == (True, True)
    assert [predicted(view, "nobody", "red0").user_known, predicted(view, "red 0", "nothing").item_known] == [False] * 2


def test_predicted_ratings_stay_within_the_scale_even_for_strangers(tmp_path: Path) -> None:
    live = LiveModel(tmp_path, objective="rating")
    live.learn([("ann", "a"), ("bob", "a")], value=5.0, kind="rating")
    live.learn([("ann", "b"), ("bob", "b")], value=1.0, kind="rating")
    view = live.publish().view
    values = [predicted(view, user, item).value for user in ("ann", "nobody") for item in ("a", "b", "nothing")]
    assert all(1.0 <= value <= 5.0 for value in values)
    assert predicted(view, "ann", "a").value > predicted(view, "ann", "b").value


def test_a_list_longer_than_this_server_allows_is_refused(view: View) -> None:
    for request in (Recommend(1, user="red 0", k=101), SimilarItems(1, item="red3", k=101), Popular(1, k=101)):
        with pytest.raises(RequestError, match=r"k = 101.*serving\.most_k") as caught:
            queries.answer(view, request, MOST_K)
        assert caught.value.code == "bad_request"


def test_requests_that_come_together_get_the_answers_that_each_gets_alone(view: View) -> None:
    beyond = [("events", 0, view.header.events + 1)]
    requests: list[AnyQuery | Info] = [
        Recommend(1, user="red 0", k=24),
        Info(2),
        Recommend(3, user="nobody", k=3),
        Recommend(4, user="red 1", k=MOST_K + 1),
        Predict(5, user="red 0", item="red1"),
        Recommend(6, user="blue 3", k=1, at_least=beyond),
        Recommend(7, items=["blue1", "nothing"]),
        SimilarItems(8, item="red3", k=2),
        Popular(9, k=MOST_K + 1),
        Recommend(10, user="blue 3", k=4, exclude_seen=False),
    ]
    found = queries.answer_all(view, requests, MOST_K)
    for request, one in zip(requests, found, strict=True):
        if request.id == 6:
            assert one is None
        elif request.id in (4, 9):
            assert isinstance(one, RequestError)
        else:
            assert one == queries.answer(view, request, MOST_K)


def test_a_position_is_reached_when_every_partition_is(view: View) -> None:
    events = view.header.events
    assert queries.reached(view, [])
    assert queries.reached(view, [("events", 0, events)])
    assert queries.reached(view, [("events", 0, 1), ("elsewhere", 5, 0)])
    assert not queries.reached(view, [("events", 0, events + 1)])
    assert not queries.reached(view, [("events", 0, 1), ("events", 1, 1)])


def test_info_counts_what_the_view_shows(view: View) -> None:
    info = queries.info(view, Info("x"))
    assert (info.id, info.users, info.items) == ("x", 20, 24)
    assert (info.events, info.rejected, info.committed) == (800, 2, 3)
    assert (info.objective, info.generation) == ("ranking", 1)
    assert info.users == view.counts[Axis.USER]


def test_info_says_what_was_measured_and_what_serves(tmp_path: Path) -> None:
    live = two_tastes(tmp_path, measure_every=4).publish()
    quality = queries.info(live.view, Info(1)).quality
    assert (quality.model, quality.serving, quality.switched) == ("factors + popularity", "factors + popularity", 0)
    assert quality.measured == live.model.memory.state.measures.counted[0] > 20
    assert set(quality.measures) == {"recent", "all"}
    assert set(quality.measures["recent"]) == {"factors + popularity", "popularity", "served"}
    live.model.memory.state.measures.serving[0] = 1
    view = live.publish().view
    assert queries.info(view, Info(2)).quality.serving == "popularity"
    listed = queries.recommend(view, [Recommend(3, user="red 0", k=3)])[0]
    assert [item.source for item in listed.items] == ["popular"] * len(listed.items)
    assert said(listed) is None
    live.writer.close()


def test_health_says_why_it_is_not_ok(tmp_path: Path) -> None:
    live = two_tastes(tmp_path)
    heard = live.view.header.published_at
    fine = queries.health(live.view, Health(1), heard + 1.0, 10.0)
    assert (fine.status, fine.ready, fine.age, fine.trainer, said(fine)) == ("ok", True, 1.0, "learning", None)
    late = queries.health(live.view, Health(1), heard + 60.0, 10.0)
    assert (late.status, late.ready, said(late)) == (
        "stale", True, "the trainer has not been heard of for 60 s; answers are from what it had learned",
    )  # fmt: skip
    early = queries.health(live.publish("recovering").view, Health(1), heard, 10.0)
    assert (early.status, early.ready, early.trainer) == ("stale", False, "recovering")
    live.writer.close()
    stopped = queries.health(live.view, Health(1), heard, 10.0)
    assert (stopped.status, stopped.ready, stopped.trainer) == ("stale", True, "stopped")
