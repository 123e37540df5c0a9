from __future__ import annotations

from cloud_model.training.metrics import score_table


def test_table_of_scores_has_a_row_a_predictor_and_leaves_unknown_coverage_empty():
    row = {"mae": 0.12345, "rmse": 20.0, "r2": 0.9, "mae_over_mad": 0.1}
    table = score_table({"mean": row, "model": row | {"coverage_68": 0.7, "coverage_95": 0.95}}, "eV")
    head, rule, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    assert head == ["", "MAE (eV)", "RMSE", "R2", "MAE:MAD", "68%", "95%"]
    assert all(set(cell) <= set(":-") for cell in rule)
    assert rows[0] == ["mean", "0.1235", "20", "0.9", "0.1", "", ""]
    assert rows[1] == ["model", "0.1235", "20", "0.9", "0.1", "0.7", "0.95"]
