"""Programs that some tests need and not every machine has."""

from __future__ import annotations

import shutil

import pytest

# Debian packages, where they have another name.
_PACKAGES = {
    "aarch64-linux-gnu-gcc": "gcc-aarch64-linux-gnu",
    "arm-linux-gnueabihf-gcc": "gcc-arm-linux-gnueabihf",
    "riscv64-linux-gnu-gcc": "gcc-riscv64-linux-gnu",
    "arm-none-eabi-gcc": "gcc-arm-none-eabi and libnewlib-arm-none-eabi",
    "qemu-aarch64": "qemu-user",
    "qemu-arm": "qemu-user",
    "qemu-riscv64": "qemu-user",
}
BARE_METAL = ("arm-none-eabi-gcc", "qemu-system-arm")


def need(*tools: str) -> None:
    """Skip the test where one is not installed."""
    for tool in tools:
        if shutil.which(tool) is None:
            pytest.skip(f"needs {tool} (Debian package {_PACKAGES.get(tool, tool)})")
