"""Volume, faces and heights of a cell, in plain floats, which are faster than arrays of three."""

from __future__ import annotations

from collections.abc import Sequence
from math import hypot

Vector = Sequence[float]


def volume_and_normals(vectors: Sequence[Vector]) -> tuple[float, list[Vector]]:
    """Return the signed volume of a cell, and the normals of its faces, which are as long as the faces are large."""
    a, b, c = vectors
    normals: list[Vector] = [
        (p[1] * q[2] - p[2] * q[1], p[2] * q[0] - p[0] * q[2], p[0] * q[1] - p[1] * q[0])
        for p, q in ((b, c), (c, a), (a, b))
    ]
    return dot(a, normals[0]), normals


def heights_and_directions(volume: float, normals: Sequence[Vector]) -> tuple[list[float], list[Vector]]:
    """Return the distances between opposite faces of a cell, and the unit vectors along them."""
    lengths = [hypot(*normal) for normal in normals]
    directions: list[Vector] = [
        (x / length, y / length, z / length) for (x, y, z), length in zip(normals, lengths, strict=True)
    ]
    return [abs(volume) / length for length in lengths], directions


def dot(a: Vector, b: Vector) -> float:
    """Scalar product."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
