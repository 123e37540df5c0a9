from __future__ import annotations

import logging
import os
import signal

import moyopy
import pytest
from ase.build import bulk

from cloud_model import Scope
from cloud_model.process import Temporarily, interruptible


def test_the_first_in_changes_a_setting_and_the_last_out_restores_it():
    values = [8]
    half = Temporarily(lambda: values[-1], values.append, lambda value: value // 2)
    with half:
        with half:
            assert values == [8, 4]
        assert values == [8, 4]
    assert values == [8, 4, 8]


def test_a_setting_is_restored_after_an_error():
    values = [True]
    off = Temporarily(lambda: values[-1], values.append, lambda _: False)
    with pytest.raises(ZeroDivisionError), off:
        raise ZeroDivisionError
    assert values == [True, False, True]


def test_moyo_warns_its_other_users_only(caplog):
    supercell = bulk("Cu", cubic=True) * (
        1,
        1,
        2,
    )  # moyo warns of operations that it does not share with its lattice
    scope = Scope.from_crystal(supercell)
    assert not caplog.records
    cell = moyopy.Cell(supercell.cell.tolist(), supercell.get_scaled_positions().tolist(), [29] * 8)
    assert moyopy.MoyoDataset(cell).number == scope.space_group
    assert [record.name for record in caplog.records] == ["moyo"]


def test_the_log_of_moyo_is_left_as_the_user_set_it():
    log = logging.getLogger("moyo")
    before = log.level
    log.setLevel(logging.INFO)
    try:
        Scope.from_crystal(bulk("NaCl", "rocksalt", a=5.64))
        assert log.level == logging.INFO
    finally:
        log.setLevel(before)


def test_signals_are_noted_and_handlers_restored():
    before = signal.getsignal(signal.SIGTERM)
    with interruptible() as caught:
        os.kill(os.getpid(), signal.SIGTERM)
        assert list(caught) == [signal.SIGTERM]
    assert signal.getsignal(signal.SIGTERM) is before
