"""``symact recommend`` at full cost, from the command line."""

from __future__ import annotations

import numpy as np
import pytest
from command_line import called, strict_json


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


def test_a_file_is_answered_with_a_table_and_a_figure(data, tmp_path):
    found = called("recommend", data, "--target", "y", "--out", tmp_path)
    assert found.returncode == 0, found.stderr
    assert "recommended: " in found.stdout
    assert "linear model" in found.stdout
    assert "in torch: symact.activation(" in found.stdout
    document = strict_json((tmp_path / "recommendation.json").read_text())
    assert f"recommended: {document['choice']}" in found.stdout
    assert (tmp_path / "recommendation.svg").exists()
