"""Coverage-guided fuzzing of what reads untrusted bytes, with atheris (``pip install atheris``).

Run ``python tools/fuzz.py scope CORPUS -max_total_time=600``; the options are those of libFuzzer. An input that ends in
anything but a result or a `CloudError` is written to ``crash-*``; repair it, and keep it in ``tests/faults``.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["cloud_model"]):
    from cloud_model.checkpoints.checkpoint import Checkpoint
    from cloud_model.checkpoints.files import CONFIG, VOCABULARY, WEIGHTS
    from cloud_model.checkpoints.registry import resolve
    from cloud_model.crystal.elements import SYMBOLS
    from cloud_model.crystal.files import read_crystals
    from cloud_model.crystal.formats import FORMATS
    from cloud_model.errors import CloudError
    from cloud_model.network.tokenizer import Tokenizer, build_vocabulary
    from cloud_model.scope.string import Scope

TOKENIZER = Tokenizer(build_vocabulary(SYMBOLS[:83]), 96)
GOOD = resolve()
FOLDER = Path(tempfile.mkdtemp())


def scope(data: bytes) -> None:
    """Parse and tokenise a string."""
    text = data.decode(errors="replace")
    with suppress(CloudError):
        Scope.from_orbits(len(text) % 232, text)
    with suppress(CloudError):
        TOKENIZER.encode(text)
    with suppress(CloudError):
        TOKENIZER.encode(str(Scope.parse(text)))


def crystal(data: bytes) -> None:
    """Read it as a file of each format; no reader may open another file, start a program or use the network."""
    for form in FORMATS:
        for _ in islice(read_crystals(data, name=form.files.partition(",")[0].replace("*", "a")), 10):
            pass


def checkpoint(data: bytes) -> None:
    """Load the default checkpoint with one of its files replaced, or with entries of its configuration replaced."""
    shutil.copytree(GOOD, FOLDER, dirs_exist_ok=True)
    config = json.loads((FOLDER / CONFIG).read_text())
    name = (CONFIG, VOCABULARY, WEIGHTS, "")[data[0] % 4] if data else ""
    if name:
        (FOLDER / name).write_bytes(data[1:])
        config["sha256"][name] = hashlib.sha256(data[1:]).hexdigest()
    else:
        with suppress(ValueError, RecursionError, TypeError):
            config |= json.loads(data[1:])
    if name != CONFIG:
        (FOLDER / CONFIG).write_text(json.dumps(config))
    with suppress(CloudError):
        Checkpoint.load(FOLDER)


TARGETS: dict[str, Callable[[bytes], None]] = {"scope": scope, "crystal": crystal, "checkpoint": checkpoint}

FORBIDDEN = ("subprocess.", "os.system", "os.exec", "os.posix_spawn", "socket.")


def forbid(event: str, arguments: tuple[object, ...]) -> None:
    """Audit hook: crash where a reader starts a program, uses the network or opens what is no part of Python."""
    outside = event == "open" and not str(arguments[0]).startswith((sys.prefix, sys.base_prefix, str(FOLDER)))
    if outside or event.startswith(FORBIDDEN):
        raise RuntimeError(f"{event} {arguments}")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    if sys.argv[1] == "crystal":
        crystal(b"")  # imports
        sys.addaudithook(forbid)
    target = TARGETS[sys.argv.pop(1)]
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()
