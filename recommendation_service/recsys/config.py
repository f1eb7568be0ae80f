"""Hyper-parameters: config/training_config.yaml holds every default, once, a section a recommender."""

from __future__ import annotations

import collections.abc
import dataclasses
import math
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self, Union, get_args, get_origin, get_type_hints

from recsys.errors import ConfigError
from recsys.paths import config_file

ACCEPTED: Mapping[Any, str] = {
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
    tuple: "a list",
    collections.abc.Mapping: "a mapping of name -> value",
}


@dataclasses.dataclass(frozen=True)
class SectionConfig:
    """A frozen set of hyper-parameters whose defaults are one section of the YAML file."""

    section: ClassVar[str]

    @classmethod
    def default(cls, **overrides: object) -> Self:
        """The section's values with some replaced.

        Raises:
            ConfigError: a name is unknown, or a value has the wrong type or range.
        """
        return cls.from_mapping({**read_section(cls.section), **overrides}, source=str(config_file()))

    @classmethod
    def from_mapping(cls, values: Mapping[str, object], *, source: str | None = None) -> Self:
        """Build from a complete mapping, turning strings (from a command line) into numbers.

        Raises:
            ConfigError: a name is unknown or missing (in `source`, when that is known), or a value
                has the wrong type or range.
        """
        hints = get_type_hints(cls)
        names = [field.name for field in dataclasses.fields(cls)]
        required = {f.name for f in dataclasses.fields(cls) if f.default_factory is dataclasses.MISSING}
        unknown, missing = sorted(set(values) - set(names)), sorted(required - set(values))
        if unknown:
            raise ConfigError(f"{cls.section} has no {', '.join(unknown)}; it has {', '.join(names)}.")
        if missing:
            where = f" in {source}" if source else ""
            raise ConfigError(f"{cls.section}{where} lacks {', '.join(missing)}.")
        return cls(
            **{name: _convert(cls.section, name, value, hints[name]) for name, value in values.items()}
        )

    def require(self, condition: bool, name: str, accepted: str) -> None:
        """Raise a ConfigError naming the value and what is accepted, unless `condition` holds."""
        if not condition:
            raise ConfigError(f"{self.section}.{name} is {getattr(self, name)!r}; it must be {accepted}.")


def read_config(path: Path | None = None) -> dict[str, Any]:
    """The whole YAML file.

    Raises:
        ConfigError: the file is missing or is not a YAML mapping.
    """
    import yaml

    path = path or config_file()
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist; set RECSYS_CONFIG or restore the file.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read ({error}); set RECSYS_CONFIG or mend it.") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not YAML: {error}") from error
    if not isinstance(config, dict):
        raise ConfigError(f"{path} must be a mapping of section -> values.")
    return config


def read_section(name: str) -> dict[str, Any]:
    """One section of the file.

    Raises:
        ConfigError: the file has no such section.
    """
    section = read_config().get(name)
    if not isinstance(section, dict):
        raise ConfigError(f"{config_file()} has no section {name}.")
    return section


def parse_assignments(assignments: list[str]) -> dict[str, object]:
    """["factors=64", "alpha=4"] as a mapping of strings.

    Raises:
        ConfigError: one is not of the form name=value, or a name comes twice.
    """
    parsed: dict[str, object] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not (name and equals and value):
            raise ConfigError(f"{assignment!r} is not of the form name=value, such as factors=64.")
        name = name.strip()
        if name in parsed:
            both = f"{parsed[name]} and as {value.strip()}"
            raise ConfigError(f"{name} is given twice, as {both}; say it once.")
        parsed[name] = value.strip()
    return parsed


def parse_overrides(assignments: list[str]) -> dict[str, dict[str, object]]:
    """["als.factors=64"] as {"als": {"factors": "64"}}.

    Raises:
        ConfigError: one is not of the form recommender.name=value.
    """
    overrides: dict[str, dict[str, object]] = {}
    for path, value in parse_assignments(assignments).items():
        recommender, dot, name = path.partition(".")
        if not dot:
            raise ConfigError(f"{path}={value} names no recommender; write als.{path}={value}.")
        overrides.setdefault(recommender, {})[name] = value
    return overrides


def _convert(section: str, name: str, value: object, hint: Any) -> object:
    """A YAML value or a command line's string as the type of the field."""

    def refused(accepted: str) -> ConfigError:
        found = "has no value" if value is None else f"is {value!r}"
        return ConfigError(f"{section}.{name} {found}; it must be {accepted}.")

    accepts_none = get_origin(hint) in (Union, types.UnionType) and type(None) in get_args(hint)
    if accepts_none and (value is None or value == "none"):
        return None
    kind = next(t for t in get_args(hint) if t is not type(None)) if accepts_none else hint
    accepted = _words_of(kind)
    if get_args(kind) == (str, str):
        accepted += ", on the command line name:value,name:value"
    if value is None:
        raise refused(accepted)
    if get_origin(kind) is tuple:
        if not isinstance(value, list | tuple):
            raise refused(accepted)
        return tuple(value)
    if get_origin(kind) is collections.abc.Mapping:
        is_told = isinstance(value, str) and get_args(kind) == (str, str)
        mapping = _parse_pairs(str(value)) if is_told else value
        if not isinstance(mapping, Mapping):
            raise refused(accepted)
        return mapping
    if kind is bool:
        if str(value).lower() not in ("true", "false"):
            raise refused(accepted)
        return str(value).lower() == "true"
    if isinstance(value, bool) or (kind is int and isinstance(value, float)):
        raise refused(accepted)
    try:
        converted: object = kind(value)
    except (TypeError, ValueError, OverflowError):
        raise refused(accepted) from None
    if isinstance(converted, float) and not math.isfinite(converted):
        raise refused("a finite number")
    return converted


def _parse_pairs(text: str) -> dict[str, str] | None:
    """ "age:number,zip:ignore" as a mapping; None where it is not of this form or names one twice."""
    pairs = [part.rpartition(":") for part in text.split(",")]
    parsed = {name.strip(): value.strip() for name, _, value in pairs}
    whole = all(name and value for name, value in parsed.items()) and len(parsed) == len(pairs)
    return parsed if whole else None


def _words_of(kind: Any) -> str:
    """What a field accepts, as a person would say it."""
    return ACCEPTED.get(get_origin(kind) or kind, str(kind))
