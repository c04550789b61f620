"""``symact recommend`` from the command line."""

from __future__ import annotations

import numpy as np
import pytest
from command_line import called


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A small file: 60 rows of two inputs."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (60, 2))
    y = x[:, 0] ** 2 + x[:, 1]
    path = tmp_path_factory.mktemp("recommend") / "data.csv"
    rows = np.column_stack([x, y]).tolist()
    path.write_text("a,b,y\n" + "".join(",".join(map(repr, row)) + "\n" for row in rows))
    return path


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
def test_bad_input_is_one_line(data, arguments, said):
    found = called("recommend", *(own.format(data=data) for own in arguments))
    assert found.returncode == 2
    assert said in found.stderr.splitlines()[-1]
