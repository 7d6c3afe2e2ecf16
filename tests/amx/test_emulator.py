"""The emulator itself: AMX-TILE and AMX-INT8 as Intel's SDM has them."""

from __future__ import annotations

import ctypes
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytestmark = [pytest.mark.hardware("x86-64 without AMX"), pytest.mark.usefixtures("emulator")]

SIGNS = (("uint8", "uint8"), ("uint8", "int8"), ("int8", "uint8"), ("int8", "int8"))


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("driver") / "driver.so"
    flags = ["-O2", "-mamx-tile", "-mamx-int8", "-shared", "-fPIC"]
    subprocess.run(["cc", *flags, "-o", path, Path(__file__).with_name("driver.c")], check=True)
    return path


@pytest.fixture(scope="session")
def driver(built: Path) -> ctypes.CDLL:
    return ctypes.CDLL(str(built))


def configuration(shapes: dict[int, tuple[int, int]]) -> np.ndarray:
    """Rows and bytes of tiles."""
    config = np.zeros(64, np.uint8)
    config[0] = 1
    for tile, (rows, row_bytes) in shapes.items():
        config[48 + tile] = rows
        config[16:48].view(np.uint16)[tile] = row_bytes
    return config


def pointer(array: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


@given(
    kind=st.integers(0, 3),
    rows=st.integers(1, 16),
    columns=st.integers(1, 16),
    depth=st.integers(1, 16),
    gaps=st.tuples(*[st.integers(0, 100)] * 3),
    seed=st.integers(0, 1000),
)
@settings(max_examples=200, deadline=None)
def test_products(
    driver: ctypes.CDLL, kind: int, rows: int, columns: int, depth: int, gaps: tuple[int, int, int], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    shapes = (rows, 4 * columns), (rows, 4 * depth), (depth, 4 * columns)
    c, a, b = (
        rng.integers(0, 256, (high, wide + gap), np.uint8) for (high, wide), gap in zip(shapes, gaps, strict=True)
    )
    before = c.copy()
    left = a[:, : 4 * depth].copy().view(SIGNS[kind][0]).astype(np.int64)
    right = b[:, : 4 * columns].copy().view(SIGNS[kind][1]).astype(np.int64).reshape(depth, columns, 4)
    product = left @ right.transpose(0, 2, 1).reshape(4 * depth, columns)
    sums = before[:, : 4 * columns].copy().view(np.int32) + product
    config = configuration(dict(enumerate(shapes)))
    driver.configure(pointer(config))
    found = np.empty_like(config)
    driver.configuration(pointer(found))
    np.testing.assert_array_equal(found, config)
    driver.dot(kind, pointer(c), pointer(a), pointer(b), *(ctypes.c_long(array.shape[1]) for array in (c, a, b)))
    driver.release()
    np.testing.assert_array_equal(c[:, : 4 * columns].copy().view(np.int32), sums.astype(np.int32))
    np.testing.assert_array_equal(c[:, 4 * columns :], before[:, 4 * columns :])


def test_addresses(driver: ctypes.CDLL) -> None:
    memory = np.random.default_rng(0).integers(0, 256, 6144, np.uint8)
    copies = np.zeros((4, 16, 64), np.uint8)
    driver.copies(pointer(copies), pointer(memory))
    driver.release()
    source = memory[4096:5120].reshape(16, 64)
    np.testing.assert_array_equal(copies, [source, source, source, np.tile(memory[4032:4096], (16, 1))])


def test_a_tile_is_zero(driver: ctypes.CDLL) -> None:
    sums = np.full((3, 4), -1, np.int32)
    driver.configure(pointer(configuration({7: (2, 12)})))
    driver.zero(pointer(sums), ctypes.c_long(16))
    driver.release()
    np.testing.assert_array_equal(sums, [[0, 0, 0, -1], [0, 0, 0, -1], [-1] * 4])


def test_threads_have_tiles_of_their_own(driver: ctypes.CDLL) -> None:
    driver.configure(pointer(configuration({0: (16, 64)})))
    found = np.ones(64, np.uint8)
    thread = threading.Thread(target=lambda: driver.configuration(pointer(found)))
    thread.start()
    thread.join()
    driver.release()
    assert not found.any()


@pytest.mark.parametrize(
    ("call", "change", "message"),
    [
        ("configure", (0, 2), "no such palette"),
        ("configure", (5, 1), "reserved bytes"),
        ("configure", (48, 17), "16 rows of 64 bytes at most"),
        ("configure", (16, 65), "16 rows of 64 bytes at most"),
        ("configure", (48, 0), "rows and no bytes, or bytes and no rows"),
        ("configure", (56, 1), "there are 8 tiles"),
        ("dot", (0, 0), "the tiles are not configured"),
        ("dot", (49, 15), "the shapes of the tiles do not match"),
        ("dot", (18, 60), "the shapes of the tiles do not match"),
        ("dot", (18, 62), "no multiple of 4 bytes"),
        ("zero", None, "the tile is not configured"),
        ("dot_with_itself", None, "the same tile twice"),
        ("unasked", None, "has not asked for the tile registers"),
        ("other", None, ""),
    ],
)
def test_faults(library: Path, built: Path, call: str, change: tuple[int, int] | None, message: str) -> None:
    """What a CPU refuses ends the process; other illegal instructions do so as always."""
    script = f"""
import ctypes
emulator, driver = ctypes.CDLL({str(library)!r}), ctypes.CDLL({str(built)!r})
if {call!r} != "unasked":
    emulator.syscall(158, 0x1023, 18)
config, memory = bytearray({bytes(configuration(dict.fromkeys(range(3), (16, 64))))!r}), bytearray(8192)
change = {change!r}
if change:
    config[change[0]] = change[1]
address = lambda array: ctypes.byref((ctypes.c_char * len(array)).from_buffer(array))
driver.configure(address(config))
if {call!r} == "dot":
    driver.dot(1, *[address(memory)] * 3, *[ctypes.c_long(64)] * 3)
elif {call!r} == "zero":
    driver.zero(address(memory), ctypes.c_long(64))
elif {call!r} in ("dot_with_itself", "other"):
    driver.{call}()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGILL
    assert message in done.stderr
    assert bool(message) == ("AMX: " in done.stderr)
