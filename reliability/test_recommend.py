"""``symact recommend`` at full cost, from the command line."""

from __future__ import annotations

from command_line import called, strict_json
from small_data import written


def test_a_file_is_answered_with_a_table_and_a_figure(tmp_path):
    data = written(tmp_path / "data.csv")
    found = called("recommend", data, "--target", "y", "--out", tmp_path)
    assert found.returncode == 0, found.stderr
    assert "recommended: " in found.stdout
    assert "linear model" in found.stdout
    assert "in torch: symact.activation(" in found.stdout
    document = strict_json((tmp_path / "recommendation.json").read_text())
    assert f"recommended: {document['choice']}" in found.stdout
    assert (tmp_path / "recommendation.svg").exists()
