"""The commands ``cloud hull`` and ``cloud screen``."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import click

from cloud_model.atomic import write_atomically
from cloud_model.cli import options
from cloud_model.cli.inputs import CHUNK, Report, batched, chunks
from cloud_model.cli.output import console, print_csv, print_json, uncertain
from cloud_model.scope.explanation import space_group_symbol

if TYPE_CHECKING:
    from rich.console import Console

    from cloud_model.cli.inputs import Source
    from cloud_model.model import CloudModel
    from cloud_model.stability.references import References

Record = dict[str, Any]

_PHASES = "competing\nphases"
_PHASES_WIDTH = 9


_references = click.option(
    "--references",
    type=options.existing_file,
    help="CSV of phases (formula, formation_energy_per_atom_2018) to compare with; default: the bundled ones.",
)
_join = click.option(
    "--join", is_flag=True, help="Compare with both those of --references and the bundled ones."
)
_temperature = click.option(
    "-T",
    "--temperature",
    type=options.temperature,
    help="Include the vibrations of all phases at this temperature (K); by default they are left out.",
)


@click.command()
@options.inputs
@_references
@_join
@_temperature
@click.option(
    "--plot",
    type=options.figure,
    help="Draw the hull of two or three elements into this PNG, SVG or PDF file.",
)
@options.overwrite
@options.model
@options.output_format
def hull(
    inputs: Sequence[str],
    references: Path | None,
    join: bool,
    temperature: float | None,
    plot: Path | None,
    overwrite: bool,
    model: str | None,
    output_format: str,
) -> int:
    """Estimate stability against the known phases of the elements.

    The energy above the hull is that of the crystal minus that of the mixture of phases it would decompose into; if
    negative, the crystal is stable. A known phase is compared with all phases but itself. The column "stable" is
    the probability of that. Energies are those of density functional theory (PBE and PBE+U).

    \b
    Examples:
      cloud hull NaCl.cif
      cloud hull candidates/ --format csv > stability.csv
      cloud hull MgO.cif Mg2O3.cif --plot hull.png
      cloud hull LiMnO2.cif -T 1000

    Exit code: 0; 1 if some crystals failed (each is named on standard error); 2 for wrong usage.
    """
    _check_join(references, join)
    options.check_outputs(overwrite, plot)
    portions = chunks(inputs)
    compared = _read_references(references, join)
    loaded = options.load(model)
    report = Report()
    records = _records(loaded, portions, compared, temperature, report)
    kept = [] if plot is None else list(records)
    records = records if plot is None else iter(kept)
    if output_format == "json":
        print_json(records)
    elif output_format == "csv":
        print_csv(_flat(record) for record in records)
    else:
        _print_table(records, compared, temperature)
    if plot is not None:
        _draw(plot, [record for record in kept if not record["error"]], compared, temperature, loaded)
        click.echo(f"Wrote {plot}", err=True)
    return report.exit_code


@click.command()
@click.option("--elements", required=True, help="Elements of every candidate, such as Li,Mn,O.")
@_references
@_join
@_temperature
@click.option(
    "--prototypes",
    type=options.existing_file,
    help="CSV of phases (formula, formation_energy_per_atom_2018, scope) to decorate; default: the bundled ones.",
)
@click.option(
    "--max-sites",
    type=click.IntRange(min=1),
    help="Largest number of atoms in the conventional cell; default: any.",
)
@click.option("--space-groups", help="Space groups by number, such as 62,140-230; default: all.")
@click.option(
    "--charge-balance/--no-charge-balance",
    default=None,
    help="Keep only formulas whose oxidation states can balance; by default for nitrides, oxides, "
    "sulfides, selenides and halides.",
)
@click.option(
    "--top", type=click.IntRange(min=1), default=50, show_default=True, help="Number of candidates to print."
)
@click.option(
    "-o", "--output", type=options.folder, help="Folder for all candidates; an interrupted run resumes."
)
@click.option(
    "--structures",
    type=options.existing_folder,
    help="Folder of structures; one with the prototype of a candidate becomes a starting structure in --output.",
)
@click.option(
    "--jobs", type=options.processes, default=1, show_default=True, help="Processes; -1 for one per core."
)
@options.overwrite
@options.model
@options.output_format
def screen(
    elements: str,
    references: Path | None,
    join: bool,
    prototypes: Path | None,
    max_sites: int | None,
    space_groups: str | None,
    top: int,
    output: Path | None,
    structures: Path | None,
    jobs: int,
    overwrite: bool,
    model: str | None,
    output_format: str,
    temperature: float | None,
    **settings: Any,
) -> None:
    """Rank the crystals that elements could form by stability.

    The elements are placed on the known prototypes, all of them in each candidate, and the candidates are compared with
    the known phases and ranked by their probability of being stable. No structure is needed or relaxed.

    \b
    Examples:
      cloud screen --elements Li,Mn,O
      cloud screen --elements Ca,Zn,N --max-sites 24 -o screened

    Exit code: 0; 1 if there is nothing to screen; 2 for wrong usage.
    """
    if structures is not None and output is None:
        raise click.UsageError("--structures needs --output.")
    _check_join(references, join)
    options.check_outputs(overwrite, output and output / "best.csv")
    numbers = None if space_groups is None else _numbers(space_groups)

    from cloud_model.stability.references import References
    from cloud_plugins.pymatgen.screening import screen as run
    from cloud_plugins.pymatgen.starting_structures import write_structures

    compared = _read_references(references, join)
    frame = run(
        elements,
        references=compared,
        known_prototypes=None if prototypes is None else References.load(prototypes),
        n_sites=max_sites,
        space_groups=numbers,
        top=top,
        output=output,
        n_jobs=jobs,
        progress=True,
        temperature=temperature,
        model=model,
        **settings,
    )
    if output is not None:
        best = frame.assign(decomposition=frame["decomposition"].map(json.dumps))  # as in candidates.csv
        write_atomically(output / "best.csv", partial(best.to_csv, index=False))
        click.echo(f"Wrote {output}", err=True)
    if structures is not None and output is not None:
        written = write_structures(frame, structures, output / "structures", model=model)
        click.echo(f"Starting structures in {output / 'structures'}: {len(written)}", err=True)
    records = frame.astype(object).to_dict("records")
    if output_format == "json":
        print_json(records)
    elif output_format == "csv":
        print_csv(_flat(record) for record in records)
    else:
        _print_candidates(records, compared, temperature)


def _check_join(references: Path | None, join: bool) -> None:
    if join and references is None:
        raise click.UsageError("--join needs --references.")


def _read_references(path: Path | None, join: bool) -> References | None:
    if path is None:
        return None

    from cloud_model.stability.references import References
    from cloud_plugins.pymatgen.entries import references_from

    own = references_from(path)
    return References.load().join(own) if join else own


def _records(
    model: CloudModel,
    portions: Iterable[list[Source]],
    references: References | None,
    temperature: float | None,
    report: Report,
) -> Iterator[Record]:
    from cloud_model.errors import CloudWarning
    from cloud_model.stability.distances import stability

    for sources in portions:
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", r"\d+ of \d+ crystals", CloudWarning
            )  # each is reported by name
            frame = stability([source.crystal for source in sources], references, temperature, model=model)
        for source, row in zip(sources, frame.astype(object).to_dict("records"), strict=True):
            if row["error"]:
                report.failed(source, row["error"])
                row = {name: None if value is not value else value for name, value in row.items()}
            elif _doubtful(row):
                report.doubt(source)
            yield {"input": source.name, "temperature": temperature, **row}


def _draw(
    path: Path,
    rows: Sequence[Record],
    references: References | None,
    temperature: float | None,
    model: CloudModel,
) -> None:
    from cloud_model.scope.string import Scope
    from cloud_model.stability.distances import competing_phases
    from cloud_plugins.pymatgen.diagram import elements_of, hull_figure

    if not rows:
        raise click.UsageError("--plot has no crystal to draw.")
    system = Scope.from_orbits(1, [("1a", element) for element in elements_of(rows)])
    figure = hull_figure(rows, competing_phases([system], references, temperature, model))
    write_atomically(path, figure.savefig)


def _flat(record: Mapping[str, Any]) -> Record:
    return {**record, "decomposition": mixture(record["decomposition"])}


def mixture(decomposition: Mapping[str, float] | None) -> str:
    """Phases and their shares of the atoms, as in ``0.67 MnO2 + 0.33 Li2O``."""
    phases = sorted((decomposition or {}).items(), key=lambda item: -item[1])
    return " + ".join(formula if share > 0.995 else f"{share:.2f} {formula}" for formula, share in phases)


def _print_table(records: Iterator[Record], references: References | None, temperature: float | None) -> None:
    from cloud_model.cli.prediction_tables import FILE_WIDTH, narrowed, short_name, table_of, widths_of

    screen = console()
    titles = (
        "crystal",
        "formula",
        "group",
        _heading(temperature),
        "95% interval",
        "stable",
        _PHASES,
        "known as",
    )
    half_widths = []
    for group in batched((record for record in records if not record["error"]), CHUNK):
        half_widths += [_half_width(row) for row in group]
        rows = [
            (
                short_name(row),
                row["formula"],
                space_group_symbol(row["space_group"]),
                _distance(row),
                f"{row['energy_above_hull_low']:+.2f}, {row['energy_above_hull_high']:+.2f}",
                f"{row['probability_stable']:.0%}",
                mixture(row["decomposition"]),
                row["known"] or "",
            )
            for row in group
        ]
        columns = dict(zip(titles, zip(*rows, strict=True), strict=True))
        least = {"crystal": FILE_WIDTH, _PHASES: _PHASES_WIDTH}
        widths = narrowed(widths_of(columns), screen.width, least, gap=1)
        screen.print(table_of(columns, widths, gap=1))
    if half_widths:
        screen.print()
        _print_notes(screen, references, temperature, half_widths)


def _print_candidates(
    records: Sequence[Record], references: References | None, temperature: float | None
) -> None:
    from cloud_model.cli.prediction_tables import narrowed, table_of, widths_of

    columns = {
        "formula": [row["formula"] for row in records],
        "group": [space_group_symbol(row["space_group"]) for row in records],
        "orbits": [_shown_orbits(row) for row in records],
        _heading(temperature): [_distance(row) for row in records],
        "stable": [f"{row['probability_stable']:.0%}{'*' * _doubtful(row)}" for row in records],
        _PHASES: [mixture(row["decomposition"]) for row in records],
        "known as": [row["known"] or "" for row in records],
        "prototype": [row["prototype"] for row in records],
    }
    shown = {title: cells for title, cells in columns.items() if any(cells)}
    prototype, orbits = (
        max(len(word) for cell in [title, *columns[title]] for word in cell.split())
        for title in ("prototype", "orbits")
    )
    screen = console()
    widths = widths_of(shown)
    for least in (
        {"prototype": prototype, _PHASES: 2 * _PHASES_WIDTH, "orbits": orbits},
        {_PHASES: _PHASES_WIDTH},
    ):
        widths = narrowed(widths, screen.width, least, gap=1)
    screen.print(table_of(shown, widths, gap=1))
    screen.print()
    if any(map(_doubtful, records)):
        screen.print("*: unlike the training crystals (out of domain), so do not trust its predictions.")
    _print_notes(screen, references, temperature, [_half_width(row) for row in records])


def _heading(temperature: float | None) -> str:
    """Heading of the column of distances."""
    lines = ["above hull", "" if temperature is None else f"{temperature:g} K", "eV/atom", "PBE+U"]
    return "\n".join(filter(None, lines))


def _print_notes(
    screen: Console,
    references: References | None,
    temperature: float | None,
    half_widths: Sequence[float],
) -> None:
    """Say below a table which energies are compared, with what, and how far they can be."""
    from cloud_model.cli.prediction_tables import NOTE
    from cloud_model.stability.references import References

    known = references or References.load()
    vibrations = "left out" if temperature is None else f"those at {temperature:g} K"
    screen.print(f"Energies: {known.theory}.")
    screen.print(f"Vibrations: {vibrations}.")
    screen.print(f"Competing phases: {known.source}.")
    screen.print(NOTE)
    screen.print(difference_that_counts(half_widths))


def _doubtful(row: Record) -> bool:
    """Whether a crystal is out of the domain; checkpoints without a measure of it cannot tell."""
    return row.get("out_of_domain") is True


def _shown_orbits(row: Record) -> str:
    orbits = str(row["orbits"]).replace(";", " ")
    return orbits if len(orbits) < 48 else f"{orbits[:45].rpartition(' ')[0]} ..."


def _half_width(row: Record) -> float:
    return float(row["energy_above_hull_high"] - row["energy_above_hull"])


def _distance(row: Record) -> str:
    return uncertain(row["energy_above_hull"], row["energy_above_hull_std"])


def difference_that_counts(half_widths: Sequence[float]) -> str:
    """Difference of two distances that is significant if their errors are independent, in words."""
    smallest = 2**0.5 * median(half_widths)
    return f"Two crystals that differ by less than {smallest:.2f} eV/atom cannot be ranked (95%)."


def _numbers(text: str) -> frozenset[int]:
    """Numbers of space groups."""
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        if not (first.isdigit() and (last or first).isdigit()):
            raise click.BadParameter(f"{part!r} is not a number or a range", param_hint="--space-groups")
        found |= set(range(int(first), int(last or first) + 1))
    if not found or min(found) < 1 or max(found) > 230:
        raise click.BadParameter("must be from 1 to 230", param_hint="--space-groups")
    return frozenset(found)
