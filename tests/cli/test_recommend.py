"""``symact recommend`` from the command line."""

from __future__ import annotations

import pytest
from command_line import called
from small_data import written


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "give a CSV file or --task NAME"),
        (["{data}", "--task", "polynomial"], "not both"),
        (["--task", "polynomial", "--target", "y"], "a task has its own targets"),
        (["--task", "polynomail"], "polynomial"),
        (["{data}", "--target", "z"], "no column 'z'"),
        (["nowhere.csv"], "cannot be read"),
    ],
)
def test_bad_input_is_one_line(tmp_path, arguments, said):
    data = written(tmp_path / "data.csv")
    found = called("recommend", *(own.format(data=data) for own in arguments))
    assert found.returncode == 2
    assert said in found.stderr.splitlines()[-1]
