"""Targets: what is known of a device, read from one TOML file each (``targets/``, or the user's own path)."""

from __future__ import annotations

import difflib
import functools
import platform
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from .errors import TargetError

if TYPE_CHECKING:
    import tvm


class Memory(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Memory of a device, KiB; None where it is not a limit."""

    flash_kib: int | None = None
    sram_kib: int | None = None
    source: str = ""


class Energy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What work costs: pJ per int8 multiply-accumulate, pJ per byte read, static power in mW."""

    pj_per_mac: float
    pj_per_byte: float
    static_mw: float
    source: str


class Emulator(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The command that runs a program for this target on another machine."""

    command: list[str]


class Target(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A device family.

    Attributes
    ----------
    name       : "family/device", as on the command line.
    summary    : one line for people.
    backend    : which back end writes its artifact.
    requantize : "float" (ONNX Runtime's result) or "fixed" (TOSA RESCALE).
    activation : signedness its kernels want for activations; None keeps the model's.
    schedules  : schedule rules, first match wins (modules of ``tvmopt.schedules``).
    llvm       : TVM target attributes of kind "llvm" (mtriple, mcpu, mattr, ...).
    """

    name: str
    summary: str
    backend: Literal["vm"]
    schedules: list[str]
    requantize: Literal["float", "fixed"] = "float"
    activation: Literal["uint8", "int8"] | None = None
    llvm: dict[str, str | int | list[str]] = {}
    memory: Memory = Memory()
    energy: Energy | None = None
    emulator: Emulator | None = None

    def tvm(self) -> tvm.target.Target:
        """The TVM target that code is generated for."""
        import tvm

        return tvm.target.Target(dict(self.llvm))

    @property
    def features(self) -> frozenset[str]:
        """CPU features that generated code may use ("avx512vnni", "dotprod", ...)."""
        mattr = self.llvm.get("mattr", [])
        assert isinstance(mattr, list)
        return frozenset(name[1:] for name in mattr if name.startswith("+"))

    @property
    def vector_bytes(self) -> int:
        """Bytes in the widest vector register that code should use."""
        if "avx512bw" in self.features:
            return 64
        return 32 if "avx2" in self.features else 16


def names() -> list[str]:
    """Names of all targets that can be asked for: "host", then the files of ``tvmopt.targets``."""
    return ["host", *sorted(_files())]


def get(target: str | Path | Target) -> Target:
    """Find a target by name ("host" is this machine), or read it from a TOML file.

    Raises TargetError for an unknown name (with the nearest ones), an unreadable file, an unknown key or
    a value of the wrong type.
    """
    if isinstance(target, Target):
        return target
    if str(target) == "host":
        return host()
    if str(target).endswith(".toml"):
        return read(Path(target))
    files = _files()
    if str(target) not in files:
        near = difflib.get_close_matches(str(target), names(), n=3, cutoff=0.4)
        raise TargetError(
            f"unknown target '{target}'", hint=f"near: {', '.join(near or names())}; or give the path of a .toml file"
        )
    return read(files[str(target)])


def read(path: Path) -> Target:
    """Read one target file."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise TargetError(f"cannot be read: {error.strerror}", file=path) from None
    try:
        return msgspec.toml.decode(data, type=Target)
    except msgspec.DecodeError as error:
        raise TargetError(str(error), file=path) from None


@functools.cache
def _files() -> dict[str, Path]:
    root = Path(str(resources.files("tvmopt.targets")))
    return {path.relative_to(root).with_suffix("").as_posix(): path for path in root.rglob("*.toml")}


# What a host must have, best first, for the target file that describes it.
_HOSTS = {
    "x86_64": [
        ("x86/cascadelake", {"avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512_vnni"}),
        ("x86/skylake-avx512", {"avx512f", "avx512bw", "avx512vl", "avx512dq"}),
        ("x86/avx2", {"avx2", "fma"}),
        ("x86/generic", set()),
    ],
}


@functools.cache
def host() -> Target:
    """The target file that fits this machine's CPU, by the features that it and the kernel report."""
    machine = platform.machine()
    have = cpu_flags()
    for name, needs in _HOSTS.get(machine, []):
        if needs <= have:
            return msgspec.structs.replace(get(name), name="host", summary=f"this machine, as {name}")
    raise TargetError(f"this machine ({machine}) has no target of its own", hint="name one with -t")


def cpu_flags() -> frozenset[str]:
    """Feature flags of this machine's CPU as Linux names them; empty where /proc/cpuinfo is not there."""
    try:
        lines: list[str] = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return frozenset()
    found: Any = next((line for line in lines if line.startswith(("flags", "Features"))), ":")
    return frozenset(found.partition(":")[2].split())
