"""The configuration: what wins, what is refused, and what a message says."""

from pathlib import Path

import msgspec
import pytest

from streammf.errors import ConfigurationError, ExitCode
from streammf.events.kafka_options import KafkaOptions
from streammf.events.log import LogOptions
from streammf.learning.options import LearningOptions
from streammf.operations.configuration import SECTIONS, Configuration, Setting, _class_of, load
from streammf.operations.sources import FileOptions
from streammf.serving.options import ServingOptions
from streammf.state.options import StoreOptions


def written(folder: Path, text: str, name: str = "streammf.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def refusal(configuration: Configuration) -> str:
    with pytest.raises(ConfigurationError) as caught:
        configuration.check()
    assert caught.value.exit_code == ExitCode.CONFIGURATION
    return str(caught.value)


def test_without_any_setting_everything_has_its_default(tmp_path: Path) -> None:
    configuration = load(environment={}, folder=tmp_path)
    configuration.check()
    assert configuration.kind("source") == "log"
    assert configuration.of(LogOptions).path == "streammf-data/log"
    assert configuration.of(StoreOptions).path == "streammf-data/store"
    assert configuration.of(LearningOptions) == LearningOptions()


def test_flag_beats_environment_beats_file_beats_default(tmp_path: Path) -> None:
    written(tmp_path, "[serving]\nport = 1\nworkers = 1\nmost_k = 1\n")
    environment = {"STREAMMF_SERVING__PORT": "2", "STREAMMF_SERVING__WORKERS": "2"}
    flags = {"serving": {"port": Setting(3, "--port")}}
    configuration = load(environment=environment, flags=flags, folder=tmp_path)
    options = configuration.of(ServingOptions)
    assert (options.port, options.workers, options.most_k) == (3, 2, 1)
    origins = {row.key: row.origin for row in configuration.rows() if row.section == "serving"}
    assert origins["port"] == "--port"
    assert origins["workers"] == "STREAMMF_SERVING__WORKERS"
    assert origins["most_k"] == str(tmp_path / "streammf.toml")
    assert origins["host"] == "default"


def test_the_file_of_the_flag_beats_the_usual_one_beats_the_variable(tmp_path: Path) -> None:
    written(tmp_path, "[serving]\nport = 1\n", "named.toml")
    environment = {"STREAMMF_CONFIG": str(tmp_path / "named.toml")}
    assert load(environment=environment, folder=tmp_path).of(ServingOptions).port == 1
    written(tmp_path, "[serving]\nport = 2\n")
    assert load(environment=environment, folder=tmp_path).of(ServingOptions).port == 2
    flag = written(tmp_path, "[serving]\nport = 3\n", "flag.toml")
    assert load(str(flag), environment, folder=tmp_path).of(ServingOptions).port == 3


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        ("STREAMMF_LEARNING__FACTORS", "64", 64),
        ("STREAMMF_LEARNING__USER_RATE", "1", 1.0),
        ("STREAMMF_LEARNING__OBJECTIVE", "rating", "rating"),
        ("STREAMMF_LEARNING__OBJECTIVE", '"rating"', "rating"),
        ("STREAMMF_LEARNING__SCALE", "[0, 10]", (0.0, 10.0)),
        ("STREAMMF_LEARNING__TYPES", "{click = 2}", {"click": 2.0}),
    ],
)
def test_a_variable_is_read_as_its_setting_wants_it(tmp_path: Path, variable: str, text: str, value: object) -> None:
    options = load(environment={variable: text}, folder=tmp_path).of(LearningOptions)
    assert getattr(options, variable.partition("__")[2].lower()) == value


def test_a_text_that_looks_like_a_number_stays_a_text(tmp_path: Path) -> None:
    assert load(environment={"STREAMMF_STORE__PATH": "2024"}, folder=tmp_path).of(StoreOptions).path == "2024"


def test_a_variable_cannot_smuggle_in_another_key(tmp_path: Path) -> None:
    path = "here\npath = 1"
    assert load(environment={"STREAMMF_STORE__PATH": path}, folder=tmp_path).of(StoreOptions).path == path


def test_a_list_may_be_written_with_commas(tmp_path: Path) -> None:
    environment = {"STREAMMF_SOURCE__KIND": "kafka", "STREAMMF_SOURCE__TOPICS": "clicks, views"}
    assert load(environment=environment, folder=tmp_path).of(KafkaOptions).topics == ["clicks", "views"]


def test_a_table_in_the_environment_adds_to_the_files(tmp_path: Path) -> None:
    written(tmp_path, '[source]\nkind = "kafka"\nproperties = {"security.protocol" = "SASL_SSL"}\n')
    environment = {"STREAMMF_SOURCE__PROPERTIES": '{"sasl.password" = "canary"}'}
    options = load(environment=environment, folder=tmp_path).of(KafkaOptions)
    assert options.properties == {"security.protocol": "SASL_SSL", "sasl.password": "canary"}


@pytest.mark.parametrize("section", SECTIONS)
def test_an_unknown_key_of_any_section_names_the_nearest_and_its_place(tmp_path: Path, section: str) -> None:
    for kind in SECTIONS[section]:
        field = msgspec.structs.fields(_class_of(section, kind))[0].encode_name
        chosen = f'kind = "{kind}"\n' if kind else ""
        path = written(tmp_path, f"[{section}]\n{chosen}{field}x = 1\n")
        message = refusal(load(environment={}, folder=tmp_path))
        assert message == f"{section}.{field}x ({path}) is no setting: did you mean {field}?"
        path.write_text(f'[{section}]\nkind = "{kind}"\n' if kind else "")
        variable = f"STREAMMF_{section}__{field}x".upper()
        assert f"({variable})" in refusal(load(environment={variable: "1"}, folder=tmp_path))


def test_an_unknown_section_names_the_nearest_and_its_place(tmp_path: Path) -> None:
    path = written(tmp_path, "[learnig]\nfactors = 3\n")
    with pytest.raises(ConfigurationError, match=rf"no section learnig \({path}\): did you mean learning\?"):
        load(environment={}, folder=tmp_path)
    with pytest.raises(ConfigurationError, match=r"STREAMMF_SEVRING__PORT.*did you mean serving"):
        load(environment={"STREAMMF_SEVRING__PORT": "1"}, folder=tmp_path.parent)


def test_variables_that_are_no_settings_are_left_alone(tmp_path: Path) -> None:
    environment = {"STREAMMF_SERVICE_HOST": "10.0.0.1", "STREAMMF_CONFIG": "", "HOME": "x", "X__Y": "z"}
    load(environment=environment, folder=tmp_path).check()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[learning]\nfactors = 0\n", "learning.factors = 0 ({}): expected an integer from 1 to 1024"),
        ("[learning]\nfactors = 1.5\n", "learning.factors = 1.5 ({}): expected an integer from 1 to 1024"),
        ('[learning]\nfactors = "32"\n', 'learning.factors = "32" ({}): expected an integer from 1 to 1024'),
        ('[learning]\nobjective = "x"\n', 'learning.objective = "x" ({}): expected one of "ranking", "rating"'),
        ("[learning]\nscale = [1]\n", "learning.scale = [1] ({}): expected a list of a number and a number"),
        ('[source]\nkind = "kafak"\n', 'source.kind = "kafak" ({}): expected one of log, file, kafka'),
        (
            "[source]\ntopics = []\n",
            'source.topics ({}) is no setting: it belongs to kind = "kafka", and source.kind is "log"',
        ),
        ("serving = 3\n", "serving ({}) is a section: write [serving] on a line of its own, its settings below"),
    ],
)
def test_a_wrong_value_names_key_value_place_and_what_is_allowed(tmp_path: Path, text: str, message: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigurationError) as caught:
        load(environment={}, folder=tmp_path).check()
    assert str(caught.value) == message.format(path)


def test_what_several_settings_together_must_be_names_section_and_place(tmp_path: Path) -> None:
    path = written(tmp_path, "[learning]\nscale = [5, 1]\n")
    assert refusal(load(environment={}, folder=tmp_path)).startswith(f"[learning] ({path}): ")
    path = written(tmp_path, '[source]\nkind = "kafka"\nproperties = {acks = "1"}\n')
    assert refusal(load(environment={}, folder=tmp_path)).startswith(f"[source] ({path}): ")


def test_a_secret_is_in_no_message(tmp_path: Path) -> None:
    for text in ('{"sasl.password" = 1, "x" = "canary"}', '{"sasl.password" = "canary"', "canary"):
        environment = {"STREAMMF_SOURCE__KIND": "kafka", "STREAMMF_SOURCE__PROPERTIES": text}
        assert "canary" not in refusal(load(environment=environment, folder=tmp_path))


def test_a_broken_or_missing_file_is_named(tmp_path: Path) -> None:
    written(tmp_path, "[learning\n")
    with pytest.raises(ConfigurationError, match=r"streammf\.toml is not TOML: .*line 1"):
        load(environment={}, folder=tmp_path)
    with pytest.raises(ConfigurationError, match=r"cannot read .*nowhere\.toml: No such file"):
        load(str(tmp_path / "nowhere.toml"), {}, folder=tmp_path)


def test_a_kind_chosen_above_leaves_the_settings_of_another_kind_alone(tmp_path: Path) -> None:
    """`replay --to log` must work beside a file that says how Kafka is reached."""
    written(tmp_path, '[source]\nkind = "kafka"\ntopics = ["clicks"]\npath = "misplaced"\n')
    flags = {"source": {"kind": Setting("file", "--source"), "path": Setting("a.csv", "--path")}}
    configuration = load(environment={}, flags=flags, folder=tmp_path)
    assert configuration.kind("source") == "file"
    assert configuration.of(FileOptions).path == "a.csv"
    assert "belongs to kind" in refusal(load(environment={}, folder=tmp_path))
