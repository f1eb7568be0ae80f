from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from recsys.config import SectionConfig, parse_assignments, read_config
from recsys.engines.als_config import ALSConfig
from recsys.errors import ConfigError
from recsys.recommenders.feature_als import FeatureALSConfig
from recsys.recommenders.mf import MFConfig
from recsys.recommenders.popularity import PopularityConfig
from recsys.recommenders.table import RECOMMENDERS
from recsys.training.pipeline import TrainingPlan


@pytest.mark.parametrize("name", sorted(RECOMMENDERS))
def test_every_recommender_has_its_defaults_in_the_file(name: str) -> None:
    RECOMMENDERS[name][1].default()


def test_the_defaults_of_als_are_the_documented_ones() -> None:
    config = ALSConfig.default()

    assert (config.factors, config.regularization, config.iterations, config.alpha) == (128, 0.01, 20, 40.0)
    assert TrainingPlan.default().test_split == 0.2


def test_a_command_lines_strings_become_numbers() -> None:
    config = ALSConfig.default(**parse_assignments(["factors=64", "alpha=4"]))

    assert (config.factors, config.alpha) == (64, 4.0)


@pytest.mark.parametrize(
    ("assignments", "message"),
    [
        (["factors"], "name=value"),
        (["factors="], "name=value"),
        (["factor=64"], "has no factor; it has engine, factors"),
        (["factors=many"], "factors is 'many'"),
        (["factors=6.5"], "factors is '6.5'"),
        (["alpha=nan"], "finite"),
        (["factors=3", "factors=4"], "factors is given twice, as 3 and as 4; say it once"),
    ],
)
def test_a_wrong_assignment_says_what_is_accepted(assignments: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ALSConfig.default(**parse_assignments(assignments))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"factors": "many"}, "als.factors is 'many'; it must be a whole number."),
        ({"factors": 64.0}, "als.factors is 64.0; it must be a whole number."),
        ({"factors": None}, "als.factors has no value; it must be a whole number."),
        ({"alpha": [4]}, "als.alpha is [4]; it must be a number."),
        ({"alpha": True}, "als.alpha is True; it must be a number."),
        ({"alpha": 10**400}, "it must be a number."),
        ({"engine": None}, "als.engine has no value; it must be text."),
        ({"use_gpu": "perhaps"}, "als.use_gpu is 'perhaps'; it must be true or false."),
        ({"use_gpu": None}, "als.use_gpu has no value; it must be true or false."),
    ],
)
def test_a_wrong_type_is_told_in_words(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        ALSConfig.default(**values)

    assert str(refused.value).endswith(message)


@pytest.mark.parametrize(
    ("config", "values", "message"),
    [
        (TrainingPlan, {"recommenders": "als"}, "training.recommenders is 'als'; it must be a list."),
        (TrainingPlan, {"recommenders": None}, "training.recommenders has no value; it must be a list."),
        (TrainingPlan, {"overrides": 3}, "overrides is 3; it must be a mapping of name -> value."),
        (FeatureALSConfig, {"max_norm": "long"}, "feature_als.max_norm is 'long'; it must be a number."),
        (
            FeatureALSConfig,
            {"user_columns": None},
            "has no value; it must be a mapping of name -> value, on the command line name:value,name:value.",
        ),
    ],
)
def test_a_list_a_mapping_and_what_may_be_none_are_told_in_words(
    config: type[SectionConfig], values: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        config.default(**values)

    assert str(refused.value).endswith(message)


@pytest.mark.parametrize("config", [FeatureALSConfig, MFConfig])
def test_a_mapping_may_be_said_on_a_command_line(config: type[FeatureALSConfig | MFConfig]) -> None:
    said = parse_assignments(["user_columns=age:category, ns:zip: ignore", "item_columns=price:number"])

    made = config.default(**said)

    assert made.user_columns == {"age": "category", "ns:zip": "ignore"}
    assert made.item_columns == {"price": "number"}


@pytest.mark.parametrize("text", ["age", "age:", ":category", "age:number,", "age:number,age:tags"])
def test_what_is_no_mapping_on_a_command_line_is_told_the_form(text: str) -> None:
    with pytest.raises(ConfigError, match=f"user_columns is '{text}'; .* name:value,name:value"):
        FeatureALSConfig.default(user_columns=text)


@pytest.mark.parametrize("config", [FeatureALSConfig, MFConfig])
def test_a_kind_there_is_not_is_told_before_anything_is_read(config: type[SectionConfig]) -> None:
    with pytest.raises(ConfigError, match=r"item_columns is .*'money'.* number, category, .* or ignore"):
        config.default(item_columns="price:money")


@pytest.mark.parametrize("value", [None, 3])
def test_a_type_nobody_has_words_for_is_refused_like_any_other(value: object) -> None:
    @dataclass(frozen=True)
    class Odd(SectionConfig):
        section: ClassVar[str] = "odd"
        size: int | str

    with pytest.raises(ConfigError, match=r"odd.size (is 3|has no value); it must be int \| str"):
        Odd.from_mapping({"size": value})


def test_a_missing_value_blames_the_file_only_when_it_comes_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.yaml").write_text("popularity: {}")
    monkeypatch.setenv("RECSYS_CONFIG", str(tmp_path / "mine.yaml"))

    with pytest.raises(ConfigError, match=r"popularity in .*mine\.yaml lacks half_life_days"):
        PopularityConfig.default()
    with pytest.raises(ConfigError, match=r"^popularity lacks half_life_days"):
        PopularityConfig.from_mapping({})


def test_a_missing_file_names_the_variable(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="RECSYS_CONFIG"):
        read_config(tmp_path / "none.yaml")


@pytest.mark.parametrize("text", ["just words", "a: [1", "- 1"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(text)

    with pytest.raises(ConfigError, match=r"broken\.yaml"):
        read_config(path)


def test_an_unknown_recommender_in_a_plan_is_named() -> None:
    with pytest.raises(ConfigError, match="oracle"):
        TrainingPlan.default(recommenders=["als", "oracle"])
