"""What the NVIDIA driver tells of this machine's GPU."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

from .errors import DeviceError

# CUdevice_attribute, cuda.h
_MULTIPROCESSORS, _MAJOR, _MINOR, _SHARED = 16, 75, 76, 97


@dataclass(frozen=True)
class Driver:
    """The driver and its first GPU.

    Attributes
    ----------
    version    : CUDA version that it supports.
    capability : of the GPU, ten times the major version plus the minor one.
    multiprocessors : that it has.
    shared     : bytes of shared memory that a block of threads may have.
    """

    version: tuple[int, int]
    capability: int
    multiprocessors: int
    shared: int


def find() -> Driver:
    """Ask the driver. Raises DeviceError where there is no driver, or no GPU."""
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError:
        raise DeviceError("this machine has no NVIDIA driver (libcuda.so.1)") from None
    device, number = ctypes.c_int(), ctypes.c_int()

    def ask(function: str, *arguments: ctypes.c_int) -> int:
        if status := getattr(cuda, function)(ctypes.byref(number), *arguments):
            raise DeviceError(f"the NVIDIA driver finds no GPU: {function} gives {status}")
        return number.value

    version = ask("cuDriverGetVersion")
    if status := cuda.cuInit(0) or cuda.cuDeviceGet(ctypes.byref(device), 0):
        raise DeviceError(f"the NVIDIA driver finds no GPU: status {status}")
    major, minor, multiprocessors, shared = (
        ask("cuDeviceGetAttribute", ctypes.c_int(which), device)
        for which in (_MAJOR, _MINOR, _MULTIPROCESSORS, _SHARED)
    )
    return Driver((version // 1000, version % 1000 // 10), 10 * major + minor, multiprocessors, shared)
