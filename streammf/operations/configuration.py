"""The configuration: the parts' Options, filled from a file, the environment and the command line.

Rules of this file:
1. Each part owns its Options, their defaults, bounds and meaning; this file knows only which section is whose.
2. Later wins: default, TOML file, environment STREAMMF_<SECTION>__<KEY>, flag of the command. Every value remembers
   where it came from.
3. What nobody knows is an error that names where it stands and the nearest right word; nothing is ignored.
4. A section is read, and its part imported, only when somebody asks for it: a query loads no kernel.
"""

import os
import tomllib
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from streammf.errors import ConfigurationError
from streammf.operations.wording import allowed, nearest, shown, toml

Options = TypeVar("Options", bound=msgspec.Struct)

#: Section → kind → the Options class that it fills. A section of several kinds has a key `kind`; the first is usual.
SECTIONS: Final[Mapping[str, Mapping[str, str]]] = {
    "source": {
        "log": "streammf.events.log:LogOptions",
        "file": "streammf.operations.sources:FileOptions",
        "kafka": "streammf.events.kafka_options:KafkaOptions",
    },
    "learning": {"": "streammf.learning.options:LearningOptions"},
    "live": {"": "streammf.state.options:LiveOptions"},
    "store": {"": "streammf.state.options:StoreOptions"},
    "trainer": {"": "streammf.trainer.options:TrainerOptions"},
    "dead_letters": {"": "streammf.trainer.options:DeadLetterOptions"},
    "serving": {"": "streammf.serving.options:ServingOptions"},
    "telemetry": {"": "streammf.operations.telemetry:TelemetryOptions"},
}

#: The file that is read when no flag names one.
USUAL_FILE: Final = "streammf.toml"
FILE_VARIABLE: Final = "STREAMMF_CONFIG"
_PREFIX: Final = "STREAMMF_"


class Setting(NamedTuple):
    """One value and where it came from."""

    value: object
    origin: str
    """"default", a file's name, a variable's name, or a flag."""
    text: str | None = None
    """As the environment has it; the type that the setting wants decides how it is read."""


class Row(NamedTuple):
    """One line of the merged configuration."""

    section: str
    key: str
    value: object
    origin: str


class Configuration:
    """What was set, by section and key. `of` turns a section into its part's Options."""

    def __init__(self, settings: Mapping[str, Mapping[str, Setting]]) -> None:
        self._settings = settings

    def kind(self, section: str) -> str:
        """The kind that this section chose."""
        kinds = SECTIONS[section]
        setting = self._settings.get(section, {}).get("kind")
        if setting is None or "" in kinds:
            return next(iter(kinds))
        if setting.value not in kinds:
            raise ConfigurationError(
                f"{section}.kind = {toml(setting.value)} ({setting.origin}): expected one of {', '.join(kinds)}"
            )
        return str(setting.value)

    def of(self, options: type[Options]) -> Options:
        """The Options of one part. Raises ConfigurationError where its section is wrong."""
        section, kind = _home_of(options)
        given = self._given(section)
        fields = {field.encode_name: field for field in msgspec.structs.fields(options)}
        for key, setting in given.items():
            if key not in fields:
                raise ConfigurationError(
                    f"{section}.{key} ({setting.origin}) is no setting: {_why_unknown(section, kind, key, fields)}"
                )
        values = {key: _converted(f"{section}.{key}", setting, fields[key].type) for key, setting in given.items()}
        try:
            return msgspec.convert(values, options)
        except (msgspec.ValidationError, ConfigurationError) as error:  # what several settings together must be
            places = ", ".join(sorted({setting.origin for setting in given.values()})) or "default"
            raise ConfigurationError(f"[{section}] ({places}): {error}") from error

    def check(self) -> None:
        """Read every section: what `train` and `config` do before anything else."""
        for section in SECTIONS:
            self.of(_class_of(section, self.kind(section)))

    def rows(self) -> Iterator[Row]:
        """Every setting of every section, defaults included."""
        for section, kinds in SECTIONS.items():
            given = self._settings.get(section, {})
            if "" not in kinds:
                yield Row(section, "kind", self.kind(section), given["kind"].origin if "kind" in given else "default")
            values = msgspec.to_builtins(self.of(_class_of(section, self.kind(section))))
            for key, value in values.items():
                yield Row(section, key, value, given[key].origin if key in given else "default")

    def _given(self, section: str) -> dict[str, Setting]:
        several = "" not in SECTIONS[section]
        return {key: setting for key, setting in self._settings.get(section, {}).items() if not (several and key == "kind")}


def load(
    file: str | None = None,
    environment: Mapping[str, str] = os.environ,
    flags: Mapping[str, Mapping[str, Setting]] | None = None,
    folder: Path = Path(),
) -> Configuration:
    """Merge the sources of settings. `file` is what --config says; `folder` is where the usual file is looked for."""
    settings: dict[str, dict[str, Setting]] = {section: {} for section in SECTIONS}
    for layer in (_from_file(_chosen_file(file, environment, folder)), _from_environment(environment), flags or {}):
        for section, values in layer.items():
            if "kind" in values:
                settings[section] = _usable(section, values["kind"].value, settings[section])
            for key, setting in values.items():
                settings[section][key] = _over(settings[section].get(key), setting)
    return Configuration(settings)


def _usable(section: str, kind: object, lower: dict[str, Setting]) -> dict[str, Setting]:
    """Without what a lower layer said of another kind: `--to log` leaves the file's Kafka alone."""
    kinds = SECTIONS[section]
    if kind not in kinds or "" in kinds:
        return lower
    fields = {other: _class_of(section, other).__struct_fields__ for other in kinds}
    others = {key for other in kinds for key in fields[other]} - {*fields[str(kind)], "kind"}
    return {key: setting for key, setting in lower.items() if key not in others}


def _over(lower: Setting | None, upper: Setting) -> Setting:
    """A table adds to a lower table, so that one password can come from the environment; anything else replaces."""
    if lower is not None and isinstance(lower.value, dict) and isinstance(upper.value, dict):
        return Setting({**lower.value, **upper.value}, f"{lower.origin}, {upper.origin}")
    return upper


def _chosen_file(file: str | None, environment: Mapping[str, str], folder: Path) -> Path | None:
    if file is not None:
        return Path(file)
    usual = folder / USUAL_FILE
    if usual.is_file():
        return usual
    named = environment.get(FILE_VARIABLE)
    return Path(named) if named else None


def _from_file(path: Path | None) -> dict[str, dict[str, Setting]]:
    if path is None:
        return {}
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigurationError(f"cannot read the configuration file {path}: {error.strerror}") from error
    except ValueError as error:  # malformed TOML or UTF-8
        raise ConfigurationError(f"{path} is not TOML: {error}") from error
    found: dict[str, dict[str, Setting]] = {}
    for section, values in content.items():
        _check_section(section, str(path))
        if not isinstance(values, dict):
            raise ConfigurationError(
                f"{section} ({path}) is a section: write [{section}] on a line of its own, its settings below"
            )
        found[section] = {key: Setting(value, str(path)) for key, value in values.items()}
    return found


def _from_environment(environment: Mapping[str, str]) -> dict[str, dict[str, Setting]]:
    """Variables without a double underscore are not settings: orchestrators set STREAMMF_SERVICE_HOST and the like."""
    found: dict[str, dict[str, Setting]] = {}
    for name, text in sorted(environment.items()):
        section, separator, key = name.removeprefix(_PREFIX).lower().partition("__")
        if name.startswith(_PREFIX) and separator:
            _check_section(section, name)
            found.setdefault(section, {})[key] = Setting(_parsed(text), name, text)
    return found


def _check_section(section: str, origin: str) -> None:
    if section not in SECTIONS:
        raise ConfigurationError(f"there is no section {section} ({origin}): {nearest(section, SECTIONS)}")


def _parsed(text: str) -> object:
    """A variable's text as a TOML value; what is not one is a text."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return parsed["value"] if len(parsed) == 1 else text


def _converted(name: str, setting: Setting, kind: object) -> object:
    """The value, once it fits the declared type; a variable's text may also be a text, or a list with commas."""
    candidates = [setting.value]
    if setting.text is not None:
        candidates += [setting.text, [part.strip() for part in setting.text.split(",")]]
    for candidate in candidates:
        try:
            msgspec.convert(candidate, kind)
        except msgspec.ValidationError:
            continue
        return candidate
    raise ConfigurationError(f"{name} = {shown(name, setting.value, kind)} ({setting.origin}): expected {allowed(kind)}")


def _why_unknown(section: str, kind: str, key: str, known: Mapping[str, Any]) -> str:
    """It may belong to another kind of the same section; else it is misspelt."""
    for other in SECTIONS[section]:
        if other != kind and key in _class_of(section, other).__struct_fields__:
            return f'it belongs to kind = "{other}", and {section}.kind is "{kind}"'
    return nearest(key, [*known, *([] if "" in SECTIONS[section] else ["kind"])])


def _class_of(section: str, kind: str) -> type[msgspec.Struct]:
    module, _, name = SECTIONS[section][kind].partition(":")
    found: type[msgspec.Struct] = getattr(import_module(module), name)
    return found


def _home_of(options: type[msgspec.Struct]) -> tuple[str, str]:
    """The section and kind whose class this is."""
    path = f"{options.__module__}:{options.__qualname__}"
    return next((section, kind) for section, kinds in SECTIONS.items() for kind, home in kinds.items() if home == path)
