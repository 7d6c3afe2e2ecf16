"""Machines with a GPU, without one, and with one that is too old."""

from __future__ import annotations

import ctypes
from typing import Any

import pytest

from tvmopt import driver, target
from tvmopt.driver import Driver
from tvmopt.errors import DeviceError, TargetError


class Library:
    """``libcuda.so.1`` of a machine with one GPU, or none."""

    def __init__(self, version: int, capability: tuple[int, int] | None) -> None:
        self.version, self.capability = version, capability

    def cuInit(self, flags: int) -> int:
        return 0 if self.capability else 100

    def cuDeviceGet(self, device: Any, ordinal: int) -> int:
        return 0

    def cuDriverGetVersion(self, to: Any) -> int:
        to._obj.value = self.version
        return 0

    def cuDeviceGetAttribute(self, to: Any, which: ctypes.c_int, device: Any) -> int:
        assert self.capability is not None
        to._obj.value = {16: 58, 75: self.capability[0], 76: self.capability[1], 97: 101376}[which.value]
        return 0


def test_what_the_driver_says(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: Library(12080, (8, 9)))
    assert driver.find() == Driver((12, 8), 89, 58, 101376)


def test_no_gpu(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: Library(12080, None))
    with pytest.raises(DeviceError, match="finds no GPU"):
        driver.find()


def test_no_driver(monkeypatch):
    def missing(name: str) -> None:
        raise OSError

    monkeypatch.setattr(ctypes, "CDLL", missing)
    with pytest.raises(DeviceError, match="no NVIDIA driver"):
        target.get("cuda/host")


@pytest.mark.parametrize(
    ("capability", "name"),
    [
        (75, "cuda/sm_75"),
        (80, "cuda/sm_80"),
        (87, "cuda/sm_86"),
        (89, "cuda/sm_89"),
        (103, "cuda/sm_100"),
        (121, "cuda/sm_120"),
    ],
)
def test_the_target_of_a_gpu(monkeypatch, capability, name):
    monkeypatch.setattr(driver, "find", lambda: Driver((13, 0), capability, 20, 101376))
    found = target.get("cuda/host")
    assert (found.name, found.cuda.multiprocessors, found.cuda.shared_kib) == (name, 20, 99)


def test_a_gpu_older_than_all_targets(monkeypatch):
    monkeypatch.setattr(driver, "find", lambda: Driver((13, 0), 61, 20, 49152))
    with pytest.raises(TargetError, match="as old as sm_61"):
        target.get("cuda/host")
