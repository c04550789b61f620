"""Sizes and switches by name."""

from __future__ import annotations

import pytest

from symact.engine.settings import settings
from symact.errors import SymactError


def test_names_find_their_field_and_texts_become_values_of_its_type():
    plan, evolution = settings(["tune=no", "full_share=0.25", "islands=2", "selection=lexicase"])
    assert (plan.tune, plan.full_share) == (False, 0.25)
    assert (evolution.islands, evolution.selection) == (2, "lexicase")
    assert settings({"tune": False, "full_share": 0.25})[0] == plan
    assert settings(()) == settings({})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("islandz=2", "did you mean 'islands'"),
        ("islands", "expected NAME=VALUE"),
        ("islands=1.5", "expected a whole number, got '1.5'"),
        ("islands=inf", "expected a whole number"),
        ("full_share=2", "expected 0 to 1"),
        ("prune=perhaps", "expected true or false"),
        ("diversity=agee", "did you mean 'age'"),
        ("final_form=quik", "did you mean 'quick'"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(text, message):
    with pytest.raises(SymactError, match=message) as caught:
        settings([text])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["mode=asynchronous", "mode=arrival", "order=arrival"])
def test_earlier_names_of_the_mode_are_settings_too(text):
    assert settings([text])[0].mode == "asynchronous"
    assert settings([text])[0] == settings({"mode": "asynchronous"})[0]
