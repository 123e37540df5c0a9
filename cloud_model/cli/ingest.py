"""``cloud ingest``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import click

from cloud_model.cli import options
from cloud_model.scope import DEFAULT_SYMPREC
from cloud_model.scope.description import Dialect


@click.command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...", type=options.crystals)
@click.option(
    "-o",
    "--output",
    required=True,
    type=options.folder,
    help="Folder for the shards.",
)
@click.option(
    "--dialect",
    type=click.Choice(get_args(Dialect)),
    default="sites",
    show_default=True,
    help="How the strings are written.",
)
@click.option(
    "--symprec",
    type=click.FloatRange(0, min_open=True),
    default=DEFAULT_SYMPREC,
    show_default=True,
    help="Tolerance of the symmetry search (Angstrom).",
)
@click.option(
    "--column", default="scope", show_default=True, help="Column of SCOPE strings in CSV and Parquet tables."
)
@click.option(
    "--jobs", type=options.processes, default=1, show_default=True, help="Processes; -1 for one per core."
)
@options.model_option("Checkpoint whose vocabulary the strings are compared with.")
def ingest(
    sources: tuple[str, ...],
    output: Path,
    dialect: Dialect,
    symprec: float,
    column: str,
    jobs: int,
    model: str | None,
) -> None:
    """Make a corpus of distinct SCOPE strings.

    It is a folder of Parquet shards. A source is a folder or archive of structure files, an ASE database, JSON lines
    of pymatgen structures, a table of SCOPE strings, or the URL of an OPTIMADE provider. An interrupted run resumes.

    \b
    Examples:
      cloud ingest structures/ more.zip -o corpus
      cloud ingest 'https://optimade.materialsproject.org?filter=nelements<=3' \\
          -o corpus
    """
    from cloud_model.checkpoints.checkpoint import Checkpoint
    from cloud_model.checkpoints.registry import resolve
    from cloud_model.corpus.ingest import IngestSettings
    from cloud_model.corpus.ingest import ingest as run
    from cloud_model.network.tokenizer import Tokenizer

    vocabulary = Checkpoint.load(resolve(model)).tokenizer.vocabulary
    settings = IngestSettings(dialect=dialect, symprec=symprec, column=column, n_jobs=jobs)
    report = run(sources, output, Tokenizer(vocabulary, max_length=2**20), settings)
    click.echo(json.dumps(report, indent=1))
