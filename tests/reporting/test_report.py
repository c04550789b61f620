"""Tables, figures and the page, for results that are ugly in every way."""

from __future__ import annotations

import csv
import io
import json
import math

import numpy as np
import pytest

from symact.reporting import figures, table
from symact.reporting.html import Chosen, result_text, write_html
from symact.reporting.table import Comparison, Row

NASTY = "<script>alert('x')</script> | `a` **b** & \"c\""


def row(name: str, kind: str = "zoo", ood: float = 0.4, **changes) -> Row:
    values = {
        "formula": "gelu(x)",
        "latex": None,
        "ratio": 1.0,
        "low": 0.9,
        "high": 1.1,
        "id_error": 1e-4,
        "id_ratio": 1.0,
        "flops": 14,
        "families": {"polynomial": 0.1, "harmonic": 6.0},
        "shells": (0.1, 0.5, 1.2),
        "diverged": 0.0,
        "statistics": False,
        **changes,
    }
    return Row(name=name, kind=kind, ood=ood, **values)


def comparison(*rows: Row) -> Comparison:
    return Comparison("0.1", ["polynomial/test-0"], [0, 1], "ood-suite", list(rows), "GELU")


UGLY = comparison(
    row("GELU"),
    row(NASTY, "found", math.nan, formula=" + ".join(["tanh(x)"] * 40), shells=(math.nan,) * 3),
    row("wild", "imported", math.inf, ratio=1e9, high=math.inf, flops=0, families={}),
)


def test_json_has_the_promised_keys_and_no_nan():
    document = json.loads(json.dumps(table.to_json(UGLY), allow_nan=False))
    assert {"protocol", "tasks", "seeds", "rows"} <= set(document)
    keys = {"name", "kind", "formula", "ood", "ratio", "low", "high", "id_ratio", "flops"}
    for entry in document["rows"]:
        assert keys | {"families"} <= set(entry)
    assert document["rows"][1]["ood"] is None


def test_csv_reads_back_with_whole_formulas():
    rows = list(csv.DictReader(io.StringIO(table.to_csv(UGLY))))
    assert [r["name"] for r in rows] == [r.name for r in UGLY.rows]
    assert rows[1]["formula"] == UGLY.rows[1].formula
    assert float(rows[0]["ood"]) == 0.4
    assert rows[1]["ood"] == ""


def test_markdown_is_one_line_a_function_with_as_many_cells_as_headings():
    lines = table.to_markdown(UGLY).splitlines()
    assert len(lines) == 2 + len(UGLY.rows)
    cells = [line.replace("\\|", "").count("|") for line in lines]
    assert len(set(cells)) == 1
    assert "<script" not in table.to_markdown(UGLY)


def test_plain_text_is_aligned_and_narrow():
    lines = table.to_text(comparison(row("GELU"), row("found #1", "found"))).splitlines()
    assert all(len(line) <= 120 for line in lines)
    starts = {line.index("gelu(x)") for line in lines[1:]}
    assert starts == {lines[0].index("formula")}


@pytest.mark.parametrize("suffix", ["svg", "png"])
@pytest.mark.parametrize("rows", [[], [row("GELU")], UGLY.rows, [row(f"f{i}") for i in range(40)]])
def test_the_distance_figure_draws_whatever_it_gets(rows, suffix, tmp_path):
    path = tmp_path / f"distance.{suffix}"
    figures.distance(rows, path)
    assert_picture(path)


@pytest.mark.parametrize("points", [[], [("a", 14, 0.4)], [("", 0, math.nan), (NASTY, 1e6, 1e-9)]])
def test_the_front_draws_whatever_it_gets(points, tmp_path):
    made = [figures.Point(*point) for point in points]
    for suffix in ("svg", "png"):
        figures.front(made, made[:1], tmp_path / f"front.{suffix}")
        assert_picture(tmp_path / f"front.{suffix}")


@pytest.mark.parametrize("count", [0, 1, 3, 6])
def test_functions_draw_also_where_they_are_not_finite(count, tmp_path):
    x = np.linspace(-6, 6, 101)
    value = np.where(x > 3, np.inf, np.exp(x))
    curves = [figures.Curve("exp(x) " * i or "x", x, value, value) for i in range(count)]
    figures.functions(curves, tmp_path / "functions.svg", reference=figures.Curve("r", x, x, x))
    assert_picture(tmp_path / "functions.svg")


def test_the_grey_curve_of_the_functions_has_a_label(tmp_path):
    x = np.linspace(-6, 6, 101)
    curves = [figures.Curve(label, x, x, x) for label in ("x", "2*x")]
    figures.functions(curves, tmp_path / "alone.svg")
    grey = figures.Curve("GELU", x, x, x)
    figures.functions(curves, tmp_path / "both.svg", reference=grey)
    texts = [(tmp_path / f"{own}.svg").read_text() for own in ("alone", "both")]
    assert [text.count("<!-- GELU -->") for text in texts] == [0, 1]


def assert_picture(path) -> None:
    content = path.read_bytes()
    assert content.startswith(b"<?xml" if path.suffix == ".svg" else b"\x89PNG")
    assert len(content) > 2000


def test_the_page_is_self_contained_and_escapes_what_it_shows(tmp_path):
    picture = tmp_path / "distance.svg"
    figures.distance(UGLY.rows, picture)
    page = tmp_path / "report.html"
    run = {
        "grammar": NASTY,
        "counts": {"seen": 3},
        "rung_spearman": {"mini-full": None},
        "fidelity_spearman": {"mini-full": None},
        "list": [1],
    }
    write_html(UGLY, [run], {"distance": picture}, page)
    text = page.read_text()
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "http" not in text.split("<body>")[1].replace("http://www.w3.org", "")
    assert text.count("<tr") == 1 + len(UGLY.rows)
    assert "nan" not in text.split("<tbody>")[1].split("</tbody>")[0]
    assert [p.name for p in tmp_path.iterdir() if p.suffix == ".new"] == []


BATCH = comparison(
    row("GELU", p=1.0),
    row("found #1", "found", p=1e-4, ratio=0.5),
    row("Turbulent", statistics=True, formula="x - mean(x)"),
)


def test_functions_of_batch_statistics_stand_in_a_block_of_their_own(tmp_path):
    title = table.BATCH_TITLE
    for text in (table.to_text(BATCH), table.to_markdown(BATCH)):
        before, found, after = text.partition(title)
        assert found
        assert "Turbulent" not in before
        assert "Turbulent" in after
        assert "GELU" not in after
    write_html(BATCH, [], {}, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert page.index("found #1") < page.index(title) < page.index("Turbulent")
    assert page.count("<table>") == 2
    assert title not in table.to_text(UGLY) + table.to_markdown(UGLY)


def test_the_page_begins_with_the_chosen_function_and_fits_a_phone_and_the_night(tmp_path):
    result = result_text(BATCH.rows[1], "GELU")
    chosen = Chosen("", "found #1", "x < 0 & y", "symact.load('a').best", result)
    write_html(BATCH, [], {}, tmp_path / "report.html", [chosen])
    page = (tmp_path / "report.html").read_text()
    head = page.split("<table>")[0]
    assert "found #1" in head
    assert "x &lt; 0 &amp; y" in head
    assert "0.5 of GELU" in head
    assert '<meta name="viewport"' in page
    assert "prefers-color-scheme: dark" in page
    assert "<td>&lt;0.001</td>" in page
    assert "<td><" not in page.replace("<td><code>", "")


def test_a_chosen_function_is_labelled_in_the_front_although_it_is_dominated(tmp_path):
    points = [figures.Point("found #1", 10, 0.2), figures.Point("found #2", 20, 0.4, True)]
    figures.front(points, [figures.Point("GELU", 14, 0.3)], tmp_path / "front.svg")
    text = (tmp_path / "front.svg").read_text()
    assert text.count('id="chosen-0"') == 1
    assert 'id="chosen-1"' not in text
    figures.front(points[:1], [figures.Point("GELU", 14, 0.3)], tmp_path / "none.svg")
    assert 'id="chosen' not in (tmp_path / "none.svg").read_text()


def test_a_known_function_that_was_found_bears_both_names():
    text = table.to_text(comparison(row("GELU"), row("SiLU", "found", also="found #3")))
    assert "found #3 = SiLU" in text
    assert table.to_csv(comparison(row("SiLU", "found", also="found #3"))).count("found #3") == 1


def test_cells_hold_no_control_characters():
    assert "\x1b" not in table.to_text(comparison(row("\x1b[31mGELU")))
