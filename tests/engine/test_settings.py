"""The configuration of a search."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from symact import SearchConfig
from symact.engine.settings import all_settings
from symact.errors import SymactError


def test_names_find_their_section_and_texts_become_values_of_the_type():
    config = SearchConfig.of(["tune=no", "full_share=0.25", "islands=2", "selection=lexicase"])
    assert (config.plan.tune, config.plan.full_share) == (False, 0.25)
    assert (config.evolution.islands, config.evolution.selection) == (2, "lexicase")
    assert (
        SearchConfig.of({"tune": False, "full_share": 0.25}).plan
        == SearchConfig.of(["tune=off", "full_share=0.25"]).plan
    )
    assert SearchConfig.of(()) == SearchConfig.of({}) == SearchConfig()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("islandz=2", "unknown setting 'islandz'; did you mean 'islands'"),
        ("islands", "expected NAME=VALUE"),
        ("islands=1.5", "setting 'islands': expected a whole number, got '1.5'"),
        ("islands=inf", "expected a whole number"),
        ("full_share=2", "expected 0 to 1"),
        ("prune=perhaps", "expected true or false"),
        ("diversity=agee", "did you mean 'age'"),
        ("mode=synchronos", "did you mean 'synchronous'"),
        ("population=3", "population: 4 islands need at least 8 individuals, got 3"),
    ],
)
def test_a_wrong_setting_is_refused_in_one_line(text, message):
    with pytest.raises(SymactError, match=message) as caught:
        SearchConfig.of([text])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"islands": "two"}, "expected a whole number"),
        ({"islands": True}, "expected a whole number, got True"),
        ({"tune": 1}, "expected true or false, got 1"),
    ],
)
def test_values_of_a_mapping_keep_their_types(changes, message):
    with pytest.raises(SymactError, match=message):
        SearchConfig.of(changes)


@pytest.mark.parametrize("text", ["mode=asynchronous", "mode=arrival", "order=arrival"])
def test_earlier_names_of_the_mode_are_settings_too(text):
    assert SearchConfig.of([text]).plan.mode == "asynchronous"
    assert SearchConfig.of([text]) == SearchConfig.of({"mode": "asynchronous"})


def test_a_configuration_is_read_from_toml(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text("[plan]\npool = 4\n[evolution]\nislands = 1\n", encoding="utf-8")
    assert SearchConfig.from_toml(file) == SearchConfig.of(["pool=4", "islands=1"])
    file.write_text("[plan]\npoll = 4\n", encoding="utf-8")
    with pytest.raises(
        SymactError, match=r"mine.toml: unknown setting 'poll'; did you mean 'pool'"
    ):
        SearchConfig.from_toml(file)
    with pytest.raises(SymactError, match="cannot be read"):
        SearchConfig.from_toml(tmp_path / "none.toml")


def test_every_setting_has_a_meaning_and_is_documented_with_its_default():
    page = (Path(__file__).parents[2] / "docs" / "search.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| `(\S+)` \|", page, re.MULTILINE))
    assert rows == {setting.name: setting.default for setting in all_settings()}
    assert all(setting.meaning for setting in all_settings())
