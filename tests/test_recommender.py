import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streammf import Recommender
from streammf.errors import ConfigurationError, StoreError
from tests.state.test_admission import Rule
from tests.trainer.sources import clicks

EVENTS = clicks(2_000)
USERS, ITEMS, TIMES = ([getattr(event, name) for event in EVENTS] for name in ("user", "item", "ts"))


def taught(cut: int = len(EVENTS)) -> Recommender:
    """One that learned the events, in two calls."""
    recommender = Recommender(factors=8, history=8)
    recommender.learn(USERS[:cut], ITEMS[:cut], timestamps=TIMES[:cut])
    recommender.learn(USERS[cut:], ITEMS[cut:], timestamps=TIMES[cut:])
    return recommender


def test_how_events_are_cut_into_calls_does_not_matter() -> None:
    whole = taught()
    for cut in (1, 7, 1_000):
        assert taught(cut).recommend(USERS[0], k=20) == whole.recommend(USERS[0], k=20)


def test_events_that_bring_too_many_or_too_new_ids_are_refused_and_counted(tmp_path: Path) -> None:
    options: dict[str, Any] = {"factors": 8, "history": 8, "most_users": 12, "most_items": 20, "admit_after": 2}
    refused = sum(not kept for kept in Rule(12, 20, 2).kept(list(zip(USERS, ITEMS, strict=True))))
    whole, saved = Recommender(**options), Recommender(**options)
    whole.learn(USERS, ITEMS, timestamps=TIMES)
    for first, last in ((0, 1), (1, 8), (8, 40)):
        saved.learn(USERS[first:last], ITEMS[first:last], timestamps=TIMES[first:last])
    saved.save(tmp_path / "snapshot")
    opened = Recommender.open(tmp_path / "snapshot")
    opened.learn(USERS[40:], ITEMS[40:], timestamps=TIMES[40:])
    assert 0 < refused == whole.refused == opened.refused
    assert whole.events == opened.events == len(EVENTS) - refused
    assert opened.recommend(USERS[0], k=20) == whole.recommend(USERS[0], k=20)
    assert len(whole.recommend("nobody", k=100)) == 20


def test_seen_items_are_left_out_unless_asked_for() -> None:
    recommender = taught()
    seen = {item for user, item in zip(USERS, ITEMS, strict=True) if user == USERS[0]}
    assert not seen & {r.item for r in recommender.recommend(USERS[0], k=100)}
    assert seen & {r.item for r in recommender.recommend(USERS[0], k=100, exclude_seen=False)}


def test_a_user_not_met_yet_gets_what_newcomers_choose_labelled_so() -> None:
    recommended = taught().recommend("nobody", k=5)
    assert len(recommended) == 5
    assert all(set(r.sources) <= {"popular", "timing"} for r in recommended)


def test_an_empty_recommender_recommends_nothing_and_does_not_fail() -> None:
    assert Recommender().recommend("anybody") == []


def test_ratings_are_predicted_within_their_scale() -> None:
    recommender = Recommender("rating", scale=(0, 10), factors=4)
    for _ in range(30):
        recommender.learn(["a", "a", "b", "b"], ["good", "bad", "good", "bad"], [10, 0, 10, 0])
    assert 7 < recommender.predict("a", "good") <= 10
    assert 0 <= recommender.predict("a", "bad") < 3
    assert 0 <= recommender.predict("nobody", "nothing") <= 10


def test_what_is_saved_can_be_opened_and_learns_on_as_if_never_saved(tmp_path: Path) -> None:
    first = Recommender(factors=8, history=8)
    first.learn(USERS[:900], ITEMS[:900], timestamps=TIMES[:900])
    first.save(tmp_path / "snapshot")
    again = Recommender.open(tmp_path / "snapshot")
    again.learn(USERS[900:], ITEMS[900:], timestamps=TIMES[900:])
    assert again.events == len(EVENTS)
    assert again.recommend(USERS[0], k=20) == taught().recommend(USERS[0], k=20)


def test_saving_does_not_overwrite_and_opening_nothing_says_so(tmp_path: Path) -> None:
    recommender = taught()
    recommender.save(tmp_path / "snapshot")
    with pytest.raises(StoreError, match="there already"):
        recommender.save(tmp_path / "snapshot")
    with pytest.raises(StoreError):
        Recommender.open(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"users": ["a", "b"], "items": ["x"]}, "as many"),
        ({"users": [""], "items": ["x"]}, "ids are str"),
        ({"users": ["a" * 256], "items": ["x"]}, "ids are str"),
        ({"users": ["a\0b"], "items": ["x"]}, "ids are str"),
        ({"users": ["\ud800"], "items": ["x"]}, "ids are str"),
        ({"users": ["a"], "items": [405]}, "items are str, got 405"),
        ({"users": "ab", "items": ["x", "y"]}, "not the text 'ab'"),
        ({"users": ["a"], "items": ["x"], "values": [float("nan")]}, "finite"),
        ({"users": ["a"], "items": ["x"], "values": [float("inf")]}, "finite"),
        ({"users": ["a"], "items": ["x"], "timestamps": [-1]}, "ms since the epoch"),
        ({"users": ["a"], "items": ["x"], "types": ["shout"]}, "unknown event types"),
    ],
)
def test_an_invalid_event_is_refused_and_nothing_is_learned(arguments: dict[str, Any], said: str) -> None:
    recommender = Recommender(factors=4)
    with pytest.raises(ValueError, match=said):
        recommender.learn(**arguments)
    assert recommender.events == 0


def test_an_option_that_is_not_known_or_out_of_range_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="factrs"):
        Recommender(factrs=3)
    with pytest.raises(ConfigurationError):
        Recommender(factors=0)


def test_the_library_needs_no_kafka_client() -> None:
    said = subprocess.run(
        [sys.executable, "-c", "import sys; from streammf import Recommender; print('confluent_kafka' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.strip() == "False"


def test_arrays_and_tuples_teach_what_lists_do() -> None:
    recommender = Recommender(factors=8, history=8)
    types = np.array(["click"] * len(EVENTS), object)
    recommender.learn(np.array(USERS), tuple(ITEMS), timestamps=np.array(TIMES), types=types)
    assert recommender.recommend(USERS[0], k=20) == taught().recommend(USERS[0], k=20)


def test_a_list_is_as_long_as_asked_for_and_no_longer_than_there_are_items() -> None:
    recommender = taught()
    assert recommender.recommend(USERS[0], k=0) == []
    assert len(recommender.recommend("nobody", k=10**12)) == len(set(ITEMS))
    wrong: list[Any] = [-1, 2.0, "3", None, True]
    for k in wrong:
        with pytest.raises(ValueError, match="k is an int of at least 0, got"):
            recommender.recommend(USERS[0], k=k)


@pytest.mark.parametrize("wrong", [405, None, "", "\ud800"])
def test_who_asks_with_something_else_than_an_id_is_told(wrong: Any) -> None:
    recommender = taught()
    for arguments in ((wrong, "x"), ("a", wrong)):
        with pytest.raises(ValueError, match="ids are str"):
            recommender.predict(*arguments)
    with pytest.raises(ValueError, match="ids are str"):
        recommender.recommend(wrong)


def test_a_snapshot_that_cannot_be_written_is_a_store_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: object, **named: object) -> None:
        raise PermissionError(13, "Permission denied")

    recommender = taught()
    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    with pytest.raises(StoreError, match=r"cannot write the snapshot .*Permission denied"):
        recommender.save(tmp_path / "snapshot")


def test_several_threads_may_learn_and_ask_at_once(tmp_path: Path) -> None:
    recommender = Recommender(factors=8, history=8)

    def use(thread: int) -> None:
        for start in range(0, 500, 10):
            part = slice(start + thread * 500, start + thread * 500 + 10)
            recommender.learn(USERS[part], ITEMS[part], timestamps=TIMES[part])
            assert len(recommender.recommend(USERS[0], k=3, exclude_seen=False)) == 3
            recommender.predict(USERS[0], ITEMS[0])

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(use, range(4)))
        recommender.save(tmp_path / "snapshot")
    assert recommender.events == Recommender.open(tmp_path / "snapshot").events == 2_000


def test_it_says_how_good_it_is_beside_popularity() -> None:
    recommender = Recommender(factors=4, blend=False, measure_every=1)
    assert recommender.quality().measures == {}
    random = np.random.default_rng(3)
    recommender.learn([f"u{n}" for n in random.integers(0, 30, 500)], [f"i{n}" for n in random.integers(0, 50, 500)])
    found = recommender.quality()
    assert found.serving == found.model == "factors + popularity"
    assert 0 < found.measures["recent"]["popularity"]["recall@10"] < 1
    assert set(found.leads) == {"popularity"}


def described(**options: Any) -> Recommender:
    """A shop of two kinds of people: those of even numbers choose even items. One item of each kind nobody chose yet."""
    recommender = Recommender(factors=4, history=4, recent=100, attributes=64, measure_every=0, **options)
    for n in range(10):
        recommender.describe_item(f"i{n}", ["even" if n % 2 == 0 else "odd"])
        recommender.describe_user(f"u{n}", ["of even" if n % 2 == 0 else "of odd"])
    chance = np.random.default_rng(2)
    for n in range(300):
        user, item = n % 10, 2 * int(chance.integers(0, 4)) + n % 2
        rating = [5.0 if item % 2 == 0 else 2.0] if "objective" in options else None
        recommender.learn([f"u{user}"], [f"i{item}"], rating)
    return recommender


ALL_WAYS: list[dict[str, Any]] = [{}, {"blend": False}, {"objective": "rating"}, {"objective": "rating", "stack": False}]


@pytest.mark.parametrize("options", ALL_WAYS)
def test_an_item_that_nobody_chose_is_recommended_as_its_categories_are(options: dict[str, Any]) -> None:
    listed = [one.item for one in described(**options).recommend("u0", k=20)]
    assert {"i8", "i9"} <= set(listed)
    assert listed.index("i8") < listed.index("i9")


@pytest.mark.parametrize("options", ALL_WAYS)
def test_somebody_new_of_a_segment_starts_from_what_it_chooses(options: dict[str, Any]) -> None:
    recommender = described(**options)
    recommender.describe_user("new", ["of even"])
    first = [one.item for one in recommender.recommend("new", k=3)]
    assert {int(item[1:]) % 2 for item in first} == {0}


@pytest.mark.parametrize("options", ALL_WAYS)
def test_what_is_hidden_is_on_no_list_until_it_is_shown_again(options: dict[str, Any]) -> None:
    recommender = described(**options)
    everything = {one.item for one in recommender.recommend("nobody", k=20)}
    recommender.describe_item("i2", ["even"], hidden=True)
    for user in ("u1", "nobody"):
        assert "i2" not in {one.item for one in recommender.recommend(user, k=20, exclude_seen=False)}
    recommender.describe_item("i2", ["even"])
    assert {one.item for one in recommender.recommend("nobody", k=20)} == everything


def test_what_was_said_is_in_the_snapshot(tmp_path: Path) -> None:
    recommender = described()
    recommender.describe_item("i2", ["even"], hidden=True)
    recommender.save(tmp_path / "snapshot")
    again = Recommender.open(tmp_path / "snapshot")
    for one in (recommender, again):
        one.describe_item("i11", ["odd"])
        one.learn(["u1", "u2"], ["i11", "i12"])
    assert again.recommend("u1", k=20) == recommender.recommend("u1", k=20)


def test_what_is_wrong_with_a_description_is_told() -> None:
    with pytest.raises(ValueError, match="attributes=4096"):
        Recommender(factors=4, attributes=0).describe_item("i", ["a"])
    recommender = Recommender(factors=4, attributes=64)
    wrong: list[Any] = [["a\0"], [""], [5], "text", [str(n) for n in range(33)]]
    for categories in wrong:
        with pytest.raises(ValueError, match=r"id|str|categories"):
            recommender.describe_user("u", categories)
    with pytest.raises(ValueError, match="ids are str"):
        recommender.describe_item("", ["a"])
