"""A search finds what is better and says when it finds nothing; it can be broken off, and knows its own log."""

import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from streammf.errors import ConfigurationError
from streammf.evaluation import tune, tune_report
from streammf.evaluation.space import knobs
from streammf.evaluation.summary import Figure
from streammf.evaluation.triers import compile_for
from streammf.evaluation.tune import Row, Tuned
from streammf.evaluation.whole_log import WholeLog
from streammf.learning.options import LearningOptions
from streammf.operations.configuration import load
from streammf.operations.wording import toml
from tests.evaluation import logs

#: Learning that hardly moves: there is much to find.
STIFF = LearningOptions(
    objective="rating", user_rate=0.0005, item_rate=0.0005, history_rate=0.0005, bias_rate=0.0005, bias_prior=500
)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> WholeLog:
    compile_for(STIFF)
    return logs.read(logs.ratings(tmp_path_factory.mktemp("log"), events=6_000, users=100, items=200), STIFF)


def searched(folder: Path, log: WholeLog, trials: int, options: LearningOptions = STIFF) -> Tuned:
    study = tune.open_study(folder, log, options, 1)
    tune.begin(study, options)
    tune.search(study, log, options, 1, trials, lambda done, best: None)
    return tune.conclude(study, log, options, 1)


OBJECTIVES: list[dict[str, Any]] = [
    {"blend": False},
    {"blend": True},
    {"objective": "rating"},
    {"history_half_life": 0.0, "user_half_life": 0.0},
]


@pytest.mark.parametrize("choice", OBJECTIVES)
def test_both_ends_of_every_knob_are_settings_and_the_default_lies_between(choice: dict[str, Any]) -> None:
    options = LearningOptions(**choice)
    for knob in knobs(options):
        assert knob.low <= getattr(options, knob.name) <= knob.high
        for end in (knob.low, knob.high):
            value = int(end) if knob.whole else end
            assert getattr(tune.changed(options, {knob.name: value}), knob.name) == value


def test_only_what_acts_on_the_objective_is_searched() -> None:
    names = {
        name: {knob.name for knob in knobs(LearningOptions(**choice))} for name, choice in zip("cbr", OBJECTIVES, strict=False)
    }
    assert "negatives" in names["c"]
    assert not {"negatives", "popularity_half_life", "neighbours"} & names["r"]
    assert not {"bias_rate", "neighbours"} & names["c"]
    assert names["b"] == names["c"] | {"neighbours", "neighbour_half_life", "solved_half_life"}
    assert "user_half_life" not in {knob.name for knob in knobs(LearningOptions(user_half_life=0.0))}


def test_better_settings_are_found_confirmed_and_written_as_settings(log: WholeLog, tmp_path: Path) -> None:
    tuned = searched(tmp_path, log, 14)
    assert len(tuned.trials) == 14
    assert tuned.trials[0].usual
    assert tuned.trials[0].settings["user_rate"] == STIFF.user_rate
    assert tuned.beats
    assert tuned.events == 1_500
    assert tuned.found.value is not None
    assert tuned.usual.value is not None
    assert tuned.found.value < tuned.usual.value
    assert "is better than the settings as they were: rmse" in tune_report.conclusion(tuned)
    path = tmp_path / "best.toml"
    path.write_text(tune_report.settings_file(tuned, STIFF, toml))
    written = load(str(path), environment={}).of(LearningOptions)
    assert written.objective == "rating"
    for name, value in tuned.best.settings.items():
        assert getattr(written, name) == pytest.approx(value, rel=0.006)
    assert written.bias_rate != STIFF.bias_rate


def test_a_search_goes_on_where_it_was(log: WholeLog, tmp_path: Path) -> None:
    first = searched(tmp_path, log, 3)
    later = searched(tmp_path, log, 5)
    assert later.trials[:3] == first.trials
    assert len(later.trials) == 5


def test_what_a_killed_process_was_at_is_given_up_and_the_usual_settings_are_tried_all_the_same(
    log: WholeLog, tmp_path: Path
) -> None:
    study = tune.open_study(tmp_path, log, STIFF, 1)
    tune.begin(study, STIFF)
    study.ask()
    tuned = searched(tmp_path, log, 2)
    assert [row.number for row in tuned.trials] == [1, 2]
    assert [row.usual for row in tuned.trials] == [True, False]


def test_a_folder_of_another_search_is_refused(log: WholeLog, tmp_path: Path) -> None:
    tune.open_study(tmp_path, log, STIFF, 1)
    for other, options in ((log.first(5_000), STIFF), (log, msgspec.structs.replace(STIFF, seed=2))):
        with pytest.raises(ConfigurationError, match="another log, or from other settings"):
            tune.open_study(tmp_path, other, options, 1)


def test_a_best_that_is_only_luck_is_called_so_and_changes_nothing(tmp_path: Path) -> None:
    rows = [
        Row(0, 0.20, {"factors": 32, "user_rate": 0.03}, usual=True),
        Row(1, 0.25, {"factors": 64, "user_rate": 0.0123456}, usual=False),
    ]
    luck = Tuned("recall@10", rows, rows[1], 500, Figure(0.21, 0.01), Figure(0.212, 0.01), Figure(0.002, 0.008), beats=False)
    assert "no better than the settings as they are, keep them: recall@10 .212 ± .010" in tune_report.conclusion(luck)
    path = tmp_path / "best.toml"
    path.write_text(tune_report.settings_file(luck, LearningOptions(positive_from=4.0), toml))
    assert "# user_rate = 0.0123" in path.read_text()
    assert load(str(path), environment={}).of(LearningOptions) == LearningOptions(positive_from=4.0)
    best = msgspec.structs.replace(luck, best=rows[0])
    assert tune_report.conclusion(best) == "None of 2 trials was better than the settings as they are: keep them."


def test_one_persons_events_prove_nothing(tmp_path: Path) -> None:
    path = tmp_path / "five.csv"
    path.write_text("user,item,value,timestamp\na,x,1,100\nb,x,2,101\na,y,5,102\nb,y,4,103\na,z,1,107\n")
    tuned = searched(tmp_path / "search", logs.read(path, STIFF), 3)
    assert tuned.events == 1
    assert tuned.better.error is None
    assert not tuned.beats


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'streammf\[tune\]'"):
        tune.optuna()
