"""Parse JSON of unknown origin."""

from __future__ import annotations

import json
import sys
from typing import Any

from cloud_model.process import Temporarily

_DEPTH = 3000
_shallow = Temporarily(sys.getrecursionlimit, sys.setrecursionlimit, lambda limit: min(limit, _DEPTH))


def parse_json(text: str | bytes) -> Any:
    """Parse JSON that may be nested without end.

    The limit of recursion that guards the parser is the process's, and symfc, which phonopy imports, raises it to where
    the stack overflows; so it is lowered during the call.

    Raises
    ------
    ValueError
        If it is not JSON, or nested too deeply.
    """
    try:
        with _shallow:
            return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
