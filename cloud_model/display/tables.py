"""Tables of texts in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: bool = True) -> str:
    """Markdown of a table.

    Parameters
    ----------
    head : sequence of str
        Headings of the columns.
    rows : iterable of sequence of str
        Their cells.
    numbers : bool
        Align all columns but the first to the right.
    """
    import pandas as pd

    sides = ["left", *["right" if numbers else "left"] * (len(head) - 1)]
    table = pd.DataFrame(list(rows), columns=list(head))
    return table.to_markdown(index=False, disable_numparse=True, colalign=sides)
