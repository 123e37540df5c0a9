"""Volume, faces and heights of a cell, in plain floats, which are faster than arrays of three."""

from __future__ import annotations

from collections.abc import Sequence
from math import hypot

Vector = Sequence[float]


def volume_and_normals(vectors: Sequence[Vector]) -> tuple[float, list[Vector]]:
    """Return the signed volume of a cell, and the normals of its faces, which are as long as the faces are large."""
    a, b, c = vectors
    normals = [_cross(b, c), _cross(c, a), _cross(a, b)]
    return a[0] * normals[0][0] + a[1] * normals[0][1] + a[2] * normals[0][2], normals


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


def _cross(a: Vector, b: Vector) -> Vector:
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]
