"""Names of checkpoints: those that ship, those that other packages bring, directories, Hugging Face ids.

Another package brings a checkpoint by an entry point of the group ``cloud_model.checkpoints``; its name is the
name of the checkpoint, its value a package whose folder is the checkpoint directory::

    [project.entry-points."cloud_model.checkpoints"]
    my-model = "my_package.my_model"
"""

from __future__ import annotations

import os
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path

from cloud_model.arguments import checked_path
from cloud_model.errors import CheckpointError, warn_user

DEFAULT = "cloud-mini"
BASE = "cloud-base"  # the encoder that has seen no label
GROUP = "cloud_model.checkpoints"
_BUNDLED = Path(__file__).parent
_FILES = (
    "config.json",
    "*.safetensors",
    "pytorch_model.bin",
    "vocab.txt",
    "added_tokens.json",
    "tokenizer_config.json",
)


def available() -> dict[str, Path]:
    """Name -> directory of every installed checkpoint; ours first, and nobody else's by the same name.

    A `CloudWarning` tells of packages that promise a checkpoint and do not have it.
    """
    found = dict(_bundled())
    for point in entry_points(group=GROUP):
        try:
            found.setdefault(point.name, _directory(point))
        except CheckpointError as error:
            warn_user(str(error))
    return found


@cache
def _bundled() -> dict[str, Path]:
    return {config.parent.name: config.parent for config in sorted(_BUNDLED.glob("*/config.json"))}


def resolve(name: str | os.PathLike[str] | None = None) -> Path:
    """Find the directory of a checkpoint.

    Parameters
    ----------
    name : str or path-like, optional
        The name of an installed checkpoint, a directory, or a Hugging Face id such as ``ChangwenXu/CLOUD``, which
        is downloaded once. Without it, the default.

    Raises
    ------
    CheckpointError
        If there is no such checkpoint, or it cannot be downloaded.
    ArgumentError
        If it is neither a name nor a path.
    """
    if name is None:
        name = DEFAULT
    checked_path("model", name)
    bundled = _bundled()
    if name in bundled:
        return bundled[str(name)]
    for point in entry_points(group=GROUP, name=str(name)):
        return _directory(point)
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    if isinstance(name, str) and name.count("/") == 1 and not name.startswith((".", "/", "~")):
        return _download(name)
    installed = [*bundled, *entry_points(group=GROUP).names]
    raise CheckpointError(
        repr(os.fspath(name)),
        "is neither an installed checkpoint nor a directory",
        f"Installed are: {', '.join(installed) or 'none'}. A Hugging Face id has the form 'owner/name'.",
    )


def _directory(point: EntryPoint) -> Path:
    try:
        spec = find_spec(point.value)
    except ImportError:  # of the package around it
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise CheckpointError(
            f"entry point {point.name!r} of {GROUP!r}",
            f"{point.value!r} is not a package",
            "Reinstall the package that brings it.",
        )
    return Path(spec.submodule_search_locations[0])


def _download(repository: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    try:
        return Path(snapshot_download(repository, allow_patterns=list(_FILES)))
    except HFValidationError as error:
        raise CheckpointError(
            repr(repository), f"is not a Hugging Face id ({error})", "Use 'owner/name'."
        ) from error
    except Exception as error:  # whatever the HTTP library of that version of huggingface_hub raises
        raise CheckpointError(
            repr(repository),
            "is neither a directory nor in the local Hugging Face cache, and cannot be downloaded "
            f"({type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no answer'})",
            "Check the name and the connection, or download it elsewhere and give its directory.",
        ) from error
