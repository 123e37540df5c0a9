"""The settings of the space groups, by the names that files give them.

A setting is a choice of axes and origin. The table of 530 is that of Hall numbers (International Tables B, A1.4.2.7)
as spglib holds it.
"""

from __future__ import annotations

import re
import unicodedata
import warnings
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

from cloud_model.crystal.symmetry_operations import Operations

Tiers = tuple[frozenset[int], ...]
"""Hall numbers that a name may mean: those by convention, then all, for a cell that contradicts the convention."""

_SUFFIX = re.compile(
    r"(.+?)(?::(.*)|(hr|[hrsz]|o[12]|origin(?:choice)?[12]|(?:hexagonal|rhombohedral)(?:axes)?"
    r"|uniqueaxis[abc](?:cellchoice[123])?|cellchoice[123]))?"
)
_AXIS_AND_CELL = re.compile(r"(?:uniqueaxis([abc]))?(?:cellchoice([123]))?")
_NUMBERED = re.compile(r"(.+?)[\s,]*\(?(?:No\.?|#)\s*(\d{1,3})\)?", re.IGNORECASE)
_MARKUP = re.compile(r"</?(?:sub|sup|i|em)>", re.IGNORECASE)
_CHOICES = {
    "s": ("1", ""),
    "z": ("2", ""),
    "o1": ("1",),
    "o2": ("2",),
    "hr": ("h", "r"),
    "hexagonal": ("h",),
    "rhombohedral": ("r",),
}
_AXES = "bca"  # a monoclinic symbol without the ones means unique axis b; if there is none, c
_OLD_GLIDES = {"A": "bc", "B": "ca", "C": "ab"}  # centring -> letter before e, for cyclic and other axes


class Setting(NamedTuple):
    """A setting of a space group.

    Attributes
    ----------
    number : int
        Number of the space group.
    symbol : str
        Hermann-Mauguin symbol with all axes, as 'P 1 21/c 1'.
    full : str
        The same with all symmetry elements, as 'F 41/d -3 2/m'.
    short : str
        That of the space group, as 'P21/c', whatever the setting.
    hall : str
        Hall symbol.
    choice : str
        Code of the axes or the origin, as 'b1', '2' or 'h'.
    """

    number: int
    symbol: str
    full: str
    short: str
    hall: str
    choice: str


@cache
def settings() -> tuple[Setting, ...]:
    """All settings; that of Hall number n is ``settings()[n - 1]``."""
    import spglib

    found = []
    with warnings.catch_warnings():  # that a failure will become an error; there is none
        warnings.simplefilter("ignore", DeprecationWarning)
        for hall_number in range(1, 531):
            group: Any = spglib.get_spacegroup_type(hall_number)
            full = group.international_full.replace("_", "")
            symbols = group.international.replace("_", "").split(" = ")
            found.append(
                Setting(
                    group.number,
                    symbols[min(1, len(symbols) - 1)],
                    full,
                    _plain(group.international_short),
                    group.hall_symbol,
                    group.choice.lower(),
                )
            )
    return tuple(found)


def setting_name(hall_number: int) -> str:
    """Symbol of a setting, with a suffix for what the symbol leaves open, as `settings_named` reads it."""
    setting = settings()[hall_number - 1]
    choices = {other.choice for other in settings() if other.symbol == setting.symbol}
    if len(choices) == 1:
        return setting.symbol
    if choices in ({"1", "2"}, {"h", "r"}):
        return f"{setting.symbol} :{setting.choice.upper()}"
    origin = setting.choice[:1] if setting.choice[:1].isdigit() else ""
    return f"{setting.symbol} :{origin}{setting.choice.removeprefix(origin) or 'abc'}"


@cache
def setting_operations(hall_number: int) -> Operations:
    """Operations of a setting."""
    import spglib

    with warnings.catch_warnings():  # as above
        warnings.simplefilter("ignore", DeprecationWarning)
        symmetry: Any = spglib.get_symmetry_from_database(hall_number)
    return Operations(
        symmetry["rotations"].astype(float), symmetry["translations"], settings()[hall_number - 1].number
    )


def settings_of_number(number: int) -> Tiers:
    """Find all settings of a space group; none if there is no such group."""
    found = frozenset(i for i, setting in enumerate(settings(), 1) if setting.number == number)
    return (found,) if found else ()


def settings_of_operations(operations: Operations) -> frozenset[int]:
    """Find the settings that have just these operations: none if axes or origin are unusual."""
    codes = operations.codes()
    (same_group,) = settings_of_number(operations.number)
    return frozenset(i for i in same_group if _codes(i) == codes)


def settings_named(symbol: str) -> Tiers:
    """Find the settings that a Hermann-Mauguin symbol may mean; none if it is unknown.

    Read are short and full symbols, with and without spaces and underscores, old ones of cubic groups ('F d 3 m')
    and of double glide planes ('C m c a'), marks of subscripts and bars ('P 2~1~/c', 'P bar 1'), the number after the
    symbol ('P -1 (No. 2)'), and a suffix for the origin (:1, :2, S, Z, O1, O2, 'origin choice 2') or the axes (:H, :R,
    H, R, HR, 'hexagonal axes', 'unique axis b, cell choice 1', or a code such as :b2 or :cab).
    """
    if numbered := _NUMBERED.fullmatch(symbol.strip()):  # as in P 21/c (No. 14)
        (same_group,) = settings_of_number(int(numbered[2])) or (frozenset(),)
        return tuple(filter(None, (tier & same_group for tier in settings_named(numbered[1]))))
    match = _SUFFIX.fullmatch(_plain(symbol))
    if match is None:
        return ()
    tiers = _by_symbol().get(match[1], ())
    suffix = match[2] if match[2] is not None else match[3]
    return chosen(tiers, suffix) if suffix else tiers


def settings_of_hall_symbol(symbol: str) -> Tiers:
    """Find the setting of a Hall symbol; none if it is unknown."""
    found = _by_hall_symbol().get(_hall_key(symbol))
    return (found,) if found else ()


def chosen(tiers: Tiers, code: str) -> Tiers:
    """Narrow settings down to those of a code for axes or origin, if there are any."""
    code = re.sub("origin(choice)?", "o", _plain(code)).removesuffix("axes")
    wanted = _CHOICES.get(code, (code.replace("abc", ""),))
    named = _AXIS_AND_CELL.fullmatch(code) if code else None

    def fits(choice: str) -> bool:
        if named:
            return choice[:1] in (named[1] or "abc") and choice[1:] in ("", named[2] or choice[1:])
        origin = choice[:1] if choice[:1].isdigit() and "abc" not in code else None
        return choice in wanted or origin in wanted or (not choice and wanted == ("1",))

    every = frozenset().union(*tiers)
    found = [
        frozenset(i for i in tier if fits(settings()[i - 1].choice))
        for tier in (tiers if named else (every,))
    ]
    return tuple(filter(None, found))


@cache
def _codes(hall_number: int) -> frozenset[bytes]:
    return setting_operations(hall_number).codes()


@cache
def _by_hall_symbol() -> dict[str, frozenset[int]]:
    return {_hall_key(setting.hall): frozenset({i}) for i, setting in enumerate(settings(), 1)}


def _hall_key(symbol: str) -> str:
    return " ".join(symbol.replace("_", " ").lower().split())  # P 32 is not P 3 2


@cache
def _by_symbol() -> dict[str, Tiers]:
    names: dict[str, set[int]] = {}
    short: dict[str, set[int]] = {}  # without the ones of monoclinic symbols
    same_group: dict[str, set[int]] = {}
    for i, setting in enumerate(settings(), 1):
        for name in _spellings(setting):
            names.setdefault(_plain(name), set()).add(i)
        if 3 <= setting.number <= 15:
            short.setdefault(_plain(setting.symbol.replace(" 1", "")), set()).add(i)
            same_group.setdefault(setting.short, set()).add(i)
    tiers: dict[str, Tiers] = {name: (frozenset(found),) for name, found in names.items()}
    for name, found in short.items():
        axes = {i: _AXES.index(settings()[i - 1].choice.strip("-")[0]) for i in found}
        usual = frozenset(i for i in found if axes[i] == min(axes.values()))
        tiers[name] = (usual, frozenset(found | same_group.get(name, set())))
    return tiers


def _spellings(setting: Setting) -> Sequence[str]:
    """Symbols of a setting, old ones too."""
    symbols = [setting.symbol, setting.full]
    if setting.number >= 195:  # cubic
        return [*symbols, *(symbol.replace("-3", "3") for symbol in symbols)]
    if "/e" in setting.full or " e" in setting.full:
        cyclic = setting.choice.strip("12") in {"", "cab", "bca"}
        old = _OLD_GLIDES[setting.full[0]][not cyclic]
        today = re.sub(r"21?/", "", setting.full)
        return [*symbols, today, today.replace("e", old), setting.full.replace("e", old)]
    return symbols


def _plain(symbol: str) -> str:
    """Small letters and figures only, with the bar of an axis before it; without the marks of subscripts."""
    symbol = _MARKUP.sub("", symbol)
    symbol = re.sub(r"\\?(?:bar|overline)\s*\{?\s*(\d)\}?", r"-\1", re.sub(r"(\d)\s*bar\b", r"-\1", symbol))
    symbol = re.sub(r"(\d)[\u0304\u0305]", r"-\1", unicodedata.normalize("NFKD", symbol))
    return re.sub(r"[\s_(){},~$]", "", symbol.replace("\u2212", "-")).lower()
