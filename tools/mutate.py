"""Mutate good files and read them: a search for tracebacks, long times and ways out, without atheris.

Run ``python tools/mutate.py FOLDER --minutes 10 --seed 0``, where FOLDER holds good files, such as those of
``examples``. An input that ends in anything but crystals and `CloudError`, takes more than two seconds, or lets a
reader open something is written to ``crash-*``; repair it, and keep it in ``tests/faults``.
"""

from __future__ import annotations

import argparse
import faulthandler
import hashlib
import random
import sys
import time
import traceback
import warnings
from itertools import islice
from pathlib import Path

from cloud_model.crystal import files
from cloud_model.crystal.files import read_crystals
from cloud_model.errors import CloudError
from cloud_model.scope.string import Scope

SECONDS = 2.0
HANGS = 60.0  # seconds after which the run ends, with the input in crash-latest
LARGEST = 2**17
JUNK = [
    b"", b"0", b"-1", b"nan", b"inf", b"1e400", b"9" * 400, b"\0", b"\xff", b"'", b'"', b";", b"\n", b"data_", b"loop_",
    b"?", b".", b"(", b"1/0", b"{", b"[", b"_JSON", b"@", b"x,y,z", b"1 " * 50, b"/etc/passwd", b"\t", b"$(id)",
]  # fmt: skip
FORBIDDEN = ("subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.fork", "socket.")


def mutated(content: bytes, other: bytes, rng: random.Random) -> bytes:
    """Change a content at one to five places."""
    for _ in range(rng.randint(1, 5)):
        lines = content.splitlines(keepends=True) or [b""]
        i, j = sorted(rng.randrange(len(lines)) for _ in range(2))
        where = rng.randrange(len(content) + 1)
        how = rng.randrange(9)
        if how == 0:
            content = content[:where]
        elif how == 1:
            content = content[:where] + rng.choice(JUNK) + content[where + rng.randint(0, 8) :]
        elif how == 2:
            content = b"".join(lines[:i] + lines[j:])
        elif how == 3:
            content = b"".join(lines[:j] + lines[i:j] * rng.choice([1, 2, 50]) + lines[j:])
        elif how == 4:
            lines[i], lines[j] = lines[j], lines[i]
            content = b"".join(lines)
        elif how == 5:
            words = lines[i].split(b" ")
            words[rng.randrange(len(words))] = rng.choice(JUNK)
            lines[i] = b" ".join(words)
            content = b"".join(lines)
        elif how == 6:
            content = content[:where] + bytes([rng.randrange(256)]) + content[where + 1 :]
        elif how == 7:
            start = rng.randrange(len(other) + 1)
            content = content[:where] + other[start : start + rng.randrange(200)] + content[where:]
        else:
            content = content.replace(
                rng.choice(content.split() or [b"x"]), rng.choice(JUNK), rng.choice([1, -1])
            )
    return content[:LARGEST]


def check(content: bytes, name: str) -> str:
    """Read it and describe its crystals; what is wrong, or nothing."""
    started = time.process_time()
    try:
        for _, crystal in islice(read_crystals(content, name=name), 5):
            if not isinstance(crystal, CloudError) and len(crystal) < 200:
                Scope.from_crystal(crystal, "sites")
            elif isinstance(crystal, CloudError):
                str(crystal).encode()
    except CloudError:
        pass
    except Exception:
        return traceback.format_exc()
    seconds = time.process_time() - started
    return f"it takes {seconds:.1f} s" if seconds > SECONDS else ""


def main() -> int:
    """Mutate for some minutes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    files.CONFINED = sys.maxsize  # read here, where it is watched
    paths = sorted(path for path in options.folder.rglob("*") if path.is_file())
    contents = [(path.name, path.read_bytes()) for path in paths if path.stat().st_size < LARGEST]
    rng = random.Random(options.seed)  # noqa: S311
    for name, content in contents:
        check(content, name)  # imports
    outside: list[str] = []

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        opened = event == "open" and not str(arguments[0]).startswith((sys.prefix, sys.base_prefix, "crash-"))
        if opened or event.startswith(FORBIDDEN):
            outside.append(f"{event} {arguments}")

    sys.addaudithook(watch)
    deadline = time.monotonic() + 60 * options.minutes
    tried = found = 0
    while time.monotonic() < deadline:
        name, content = rng.choice(contents)
        content = mutated(content, rng.choice(contents)[1], rng)
        outside.clear()
        Path("crash-latest").write_bytes(name.encode() + b"\n" + content)
        faulthandler.dump_traceback_later(HANGS, exit=True)
        reason = check(content, name) or "\n".join(outside)
        tried += 1
        if reason:
            found += 1
            crash = Path(f"crash-{hashlib.sha256(content).hexdigest()[:12]}-{name}")
            crash.write_bytes(content)
            print(f"{crash}: {reason}", flush=True)
    faulthandler.cancel_dump_traceback_later()
    Path("crash-latest").unlink(missing_ok=True)
    print(f"{tried} tried, {found} found")
    return min(found, 1)


if __name__ == "__main__":
    sys.exit(main())
