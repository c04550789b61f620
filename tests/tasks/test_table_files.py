"""CSV files: read as numbers, divided into inputs and targets, refused in one line."""

from __future__ import annotations

import numpy as np
import pytest

from symact.errors import TaskError
from symact.tasks.table_files import divided, read_csv


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_columns_are_read_by_name_and_the_last_is_the_target(tmp_path, separator):
    path = tmp_path / "a.csv"
    path.write_text("a,b,c\n1,2,3\n4,5,-6e-1\n".replace(",", separator))
    inputs, targets = divided(read_csv(path), [])
    assert (inputs.columns, targets.columns) == (("a", "b"), ("c",))
    np.testing.assert_array_equal(inputs.values, [[1, 2], [4, 5]])
    np.testing.assert_array_equal(targets.values, [[3], [-0.6]])


def test_rows_with_a_missing_value_are_left_out(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a,b\n1,2\n,3\nNA,4\n5,inf\n6,7\n")
    np.testing.assert_array_equal(read_csv(path).values, [[1, 2], [6, 7]])


def test_targets_are_chosen_by_name(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a,b,c\n1,2,3\n")
    inputs, targets = divided(read_csv(path), ["a", "c"])
    assert (inputs.columns, targets.columns) == (("b",), ("a", "c"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no rows"),
        ("a,b\n", "has no rows"),
        ("1,2\n3,4\n", "the first line has numbers"),
        (",a\n0,4\n", "column 1 has no name"),
        ("a,a\n3,4\n", "more than one column 'a'"),
        ("a,b\n3\n", "line 2: 1 cells, the first line has 2"),
        ("a,b\n3,red\n", "line 2, column 'b': 'red' is no number"),
        ("a,b\n,4\n", "no row without a missing value"),
        ("a,b\n1,2\n3,-1e31\n", "line 3, column 'b': -1e+31 is beyond 1e+30"),
    ],
)
def test_an_unusable_file_is_refused_in_one_line(tmp_path, text, said):
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(TaskError) as error:
        read_csv(path)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_and_a_missing_column_are_named(tmp_path):
    with pytest.raises(TaskError, match="cannot be read"):
        read_csv(tmp_path / "none.csv")
    path = tmp_path / "a.csv"
    path.write_text("length,price\n1,2\n")
    with pytest.raises(TaskError, match=r"no column 'prise'.*price"):
        divided(read_csv(path), ["prise"])
    with pytest.raises(TaskError, match="no input column"):
        divided(read_csv(path), ["length", "price"])


def test_bytes_that_are_no_text_are_refused(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"a,b\n\xff\xfe,2\n")
    with pytest.raises(TaskError, match="UTF-8"):
        read_csv(path)
