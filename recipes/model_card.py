"""The model card of a checkpoint, from its configuration and its measured results."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from cloud_model.checkpoints.checkpoint import Checkpoint
from cloud_model.display.tables import markdown_table
from cloud_model.properties.catalogue import PropertyInfo

TEMPLATE = """\
# {name}

Predicts properties of bulk crystals from their symmetry and composition alone: space group, occupied Wyckoff
positions and the element on each. It sees no coordinates and no lattice.

- Networks: {members}, averaged; BERT encoder of {layers} layers x {width}, with heads {parameters:.1f} M parameters.
- Input: SCOPE, dialect `{dialect}`, symmetry search at {symprec} Å; at most {length} tokens.
- Thermodynamics: a mixture of {spectra} Debye spectra from each network.
- Training: masked-language modelling of {corpus} strings ({pretraining}), then all properties at once,
  with auxiliary targets that do not ship; see `recipes/`. The passes of each network:
{finetuning}

## Error

On crystals whose composition occurs nowhere in training, neither among labels nor in the pretraining corpus: a
fixed hash of the composition sets aside one twentieth, {held_out} strings beside {held_in} with labels for training.
{overlap} of the {held_out} strings occur in the pretraining corpus. One split, one seed, {members} network(s).
`dummy` always says the mean of the training labels; it and the other baselines are fitted to the same labels of the
same training crystals, but to 12,000 of them at random where there are more.

{table}

Errors count against the values of the theory named, not against experiment: PBE and PBE+U are density functionals, DFPT
is linear response with such a functional, AEL and AGL are AFLOW's moduli of strained cells and its quasi-harmonic Debye
model. How far predictions are from measured values is in `benchmarks/results/experiment.md` and in
`PropertyInfo.experiment_ratio`.

`68%` and `95%` are the shares of labels within one predicted standard error and within `predict(..., interval=0.95)`,
of each half of these crystals when the other half calibrates them. The published label of the heat capacity counts
imaginary modes as zero where these networks, trained on stable crystals, predict that of a stable one.
`dynamic_stability`: the area under its ROC curve is {stability_auc:.2f} on {stability_count} crystals.
`volume_per_atom`: half of the volumes are within {volume_median:.1%} of their labels.

## Formation energies over the whole range of stability

The Materials Project changed its corrections in 2020. A formation energy per atom rose by 0.17 eV times the share of
sulphur and 0.03 times that of oxygen, and fell by 0.4 to 0.5 eV times the share of selenium, tellurium, bromine or
iodine, in the mean. `formation_energy_per_atom` has the new ones, as MP-20 and WBM do; `formation_energy_per_atom_2018`
has those before, as MatBench and the hull of 2018 do. Compare an energy with energies of its own scale only. Each table
by its scale, on validation crystals (eV/atom):

{heights}

Means far above the hull are of a few calculations that went astray, which no string can tell: calcite of cadmium twice
among these, 3 eV/atom above the hull, adds 0.016 to that of the highest row.

Crystals within 0.05 eV/atom of the hull are told from others, by the predicted energy and the hull of the Materials
Project of 2018, with an area under the ROC curve of {auc:.2f} and an F1 of {f1:.2f}; {share:.0%} of them are near.

## Error by crystal system and chemistry

Mean absolute error (number of crystals); a crystal belongs to the first kind of anion of which it holds one.

{kinds}

## Domain

`out_of_domain` is true for crystals whose hidden state, the mean over their atoms, is further from those of the
training crystals (Mahalanobis distance, crystals of one to five elements counting alike) than 99% of the held-out ones.
Error bars grow with this distance.

{domain}

## Where not to trust it

- Polymorphs with equal symmetry and equal sites share a string, and so a prediction; so do mirror images.
- A crystal far above the hull that looks like a stable one on paper, because its string does, is predicted too
  stable, and its interval may miss: see the table by height above the hull.
- Slabs, molecules, clusters, defects and disordered crystals are not bulk crystals of the training sets.
- Magnetic order, pressure and strain are invisible to it.
- The tests of scarce labels are small, and so are the samples that calibrated their error bars.
- Noble gases, actinides and compounds of more than five elements are rare in training.
- Phonons of training are those of semiconductors and insulators. Metals learned their heat capacity from the Debye
  temperatures of AFLOW and from JARVIS-DFT at 300 K alone, which makes theirs the least certain
  (`benchmarks/results/validation_study.md`).
- The refractive index of a metal has no meaning, and the standard error of its prediction shows it.
- `thermal_conductivity` and `thermal_expansion` are those of a crude model, far from experiment for common crystals.
- Heat capacities are harmonic, at constant volume; crystals with imaginary modes were left out of training: see
  `dynamic_stability`.

## Data and licences

Pretraining: Materials Project 2025.02.12 (CC BY 4.0); Materials Project 2018, LeMat (OQMD, Alexandria, AFLOW, JARVIS),
Castelli perovskites, carbon24 (Apache-2.0, MIT, NIST, CC BY 4.0).
Labels: MP-20, Materials Project of 2018 and later, elasticity (CC BY 4.0, in part through jarvis_leaderboard, roost
and automatminer); WBM (CC BY 4.0) with energies of models of matbench-discovery (MIT); AFLOW AEL/AGL (Apache-2.0
repository); MatBench dielectric and phonons, Castelli perovskites (MIT); JARVIS-DFT heat capacities (NIST); phonons of
Petretto et al., Sci. Data 2018 (CC BY 4.0). The weights are released under the MIT licence of this package.
"""


def model_card(
    checkpoint: Checkpoint,
    results: pd.DataFrame,
    kinds: pd.DataFrame,
    domain: pd.DataFrame,
    heights: pd.DataFrame,
    near: dict[str, float],
    provenance: dict[str, str],
) -> str:
    """Markdown text of the card.

    Parameters
    ----------
    checkpoint : Checkpoint
        Its configuration and the sizes of its networks.
    results : DataFrame
        One row a property, as ``export.py`` measures them.
    kinds, domain : DataFrame
        One row a group of crystals: for each property a column of errors, and one of counts, ``<name>_count``.
    heights : DataFrame
        One row a group of crystals: count, mean and median absolute error and mean error of the formation energy.
    near : dict of str to float
        How well crystals near the hull are told from others: ``auc``, ``f1``, ``share``.
    provenance : dict of str to str
        The other entries of the text: ``corpus``, ``overlap``, ``held_in``, ``held_out``, ``pretraining`` and
        ``finetuning``.
    """
    config = checkpoint.config
    return TEMPLATE.format(
        name=config.name,
        members=len(checkpoint.members),
        layers=config.encoder.num_hidden_layers,
        width=config.encoder.hidden_size,
        parameters=sum(p.numel() for p in checkpoint.members[0].parameters()) / 1e6,
        dialect=config.dialect,
        symprec=config.symprec,
        length=config.encoder.max_position_embeddings,
        spectra=config.spectra,
        table=table(results, config.properties),
        kinds=grouped(kinds),
        domain=grouped(domain),
        heights=height_table(heights),
        stability_auc=results.auc["dynamic_stability"],
        stability_count=results["count"]["dynamic_stability"],
        volume_median=results.median_relative_error["volume_per_atom"],
        **near,
        **provenance,
    )


def table(results: pd.DataFrame, properties: Mapping[str, PropertyInfo]) -> str:
    """Markdown table of the results; errors in the unit of the property, against its theory."""
    baselines = [column for column in results.columns if column.endswith("_mae")]
    head = [
        "property",
        "unit",
        "theory",
        "training",
        "tested",
        "MAE",
        *(c.removesuffix("_mae") for c in baselines),
        "68%",
        "95%",
    ]
    lines = []
    for name, row in results.iterrows():
        errors = [f"{row[column]:.3g}" for column in ("mae", *baselines)]
        coverage = [
            "" if pd.isna(row[column]) else f"{row[column]:.0%}" for column in ("coverage_68", "coverage_95")
        ]
        theory = properties[str(name).split()[0]].theory
        lines.append([str(name), row.unit, theory, str(row.training), str(row["count"]), *errors, *coverage])
    return markdown_table(head, lines)


def height_table(heights: pd.DataFrame) -> str:
    """Markdown table of errors of formation energies."""
    rows = [
        [str(group), f"{row['count']:g}", f"{row.mae:.3f}", f"{row['median']:.3f}", f"{row.bias:+.3f}"]
        for group, row in heights.iterrows()
    ]
    return markdown_table(["", "crystals", "MAE", "median absolute error", "mean error"], rows)


def grouped(errors: pd.DataFrame) -> str:
    """Markdown table of the errors of groups of crystals, with the number of crystals behind each."""
    names = [name for name in errors.columns if not name.endswith("_count")]
    head = ["", *names]
    rows = [
        [
            str(group),
            *(
                f"{row[name]:.3g} ({row[f'{name}_count']:g})" if row[f"{name}_count"] else ""
                for name in names
            ),
        ]
        for group, row in errors.iterrows()
    ]
    return markdown_table(head, rows)
