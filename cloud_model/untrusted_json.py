"""Parse JSON of unknown origin."""

from __future__ import annotations

import json
import sys
from typing import Any

_DEPTH = 3000


def parse_json(text: str | bytes) -> Any:
    """Parse JSON that may be nested without end.

    The limit of recursion that guards the parser is the process's, and symfc, which phonopy imports, raises it to where
    the stack overflows; so it is lowered during the call.

    Raises
    ------
    ValueError
        If it is not JSON, or nested too deeply.
    """
    limit = sys.getrecursionlimit()
    try:
        sys.setrecursionlimit(min(limit, _DEPTH))
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    finally:
        sys.setrecursionlimit(limit)
