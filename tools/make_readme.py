"""Write the predictions and test errors of the default checkpoint into ``README.md``, between its markers."""

from __future__ import annotations

import json
import re
from pathlib import Path

from cloud_model import CloudModel
from cloud_model.cli.output import uncertain

ROOT = Path(__file__).parents[1]
COLUMNS = {
    "formation_energy_per_atom": "formation energy",
    "band_gap": "band gap",
    "bulk_modulus": "bulk modulus",
    "debye_temperature": "Debye temperature",
    "heat_capacity_per_atom": "heat capacity, 300 K",
}
BASELINES = ["ridge on composition", "extra trees on composition + symmetry"]


def predictions(model: CloudModel) -> str:
    """Markdown table of the crystals in ``examples/``."""
    paths = sorted((ROOT / "examples").glob("*.cif"))
    frame = model.predict(paths, list(COLUMNS))
    rows = [
        [path.stem, *(uncertain(row[name], row[f"{name}_std"]).replace("±", " ± ") for name in COLUMNS)]
        for path, row in zip(paths, frame.to_dict("records"), strict=True)
    ]
    units = [model.properties[name].unit for name in COLUMNS]
    return table(
        ["", *(f"{title} ({unit})" for title, unit in zip(COLUMNS.values(), units, strict=True))], rows
    )


def errors() -> str:
    """Markdown table of the mean absolute errors, beside those of the baselines."""
    results = json.loads((ROOT / "benchmarks" / "results" / "accuracy_validation.json").read_text())
    rows = [
        [
            f"`{name}`",
            row["unit"],
            *(f"{row[column]:.3g}" for column in ("mae", *(f"{baseline}_mae" for baseline in BASELINES))),
            str(row["count"]),
        ]
        for name, row in results.items()
    ]
    return table(["property", "unit", "CLOUD", *BASELINES, "crystals"], rows)


def table(header: list[str], rows: list[list[str]], *, align: bool = True) -> str:
    """Markdown table, all columns but the first aligned to the right unless told otherwise."""
    lines = [header, ["---", *["---:" if align else "---"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Replace what stands between ``<!-- name -->`` and ``<!-- /name -->``."""
    model = CloudModel.from_pretrained()
    path = ROOT / "README.md"
    text = path.read_text()
    for name, content in {"predictions": predictions(model), "errors": errors()}.items():
        pattern = rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)"
        text = re.sub(pattern, rf"\g<1>{content}\n\g<2>", text, flags=re.DOTALL)
    path.write_text(text)


if __name__ == "__main__":
    main()
