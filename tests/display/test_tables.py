"""Tables in Markdown: every cell stands in the text as it was given."""

from __future__ import annotations

from cloud_model.display.tables import markdown_table


def test_cells_are_not_taken_for_numbers():
    lines = markdown_table(["", "MAE"], [["energy", "0.50"], ["gap", "1e-3"]]).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert [cells[0], *cells[2:]] == [["", "MAE"], ["energy", "0.50"], ["gap", "1e-3"]]
    assert cells[1][0].startswith(":-")
    assert cells[1][1].endswith("-:")


def test_text_is_aligned_to_the_left():
    rule = markdown_table(["input", "outcome"], [["a", "b"]], numbers=False).splitlines()[1]
    assert "-:" not in rule
