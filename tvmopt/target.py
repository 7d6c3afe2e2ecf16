"""Targets: what is known of a device, read from one TOML file each (``targets/``, or the user's own path)."""

from __future__ import annotations

import functools
import platform
import re
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec
from msgspec.inspect import LiteralType, StructType, UnionType

from . import driver
from .errors import TargetError
from .target_file import (
    ActivePower,
    Cuda,
    Emulator,
    EthosU,
    EventCosts,
    Host,
    Llvm,
    Memory,
    Region,
    Systolic,
    Target,
    near,
)

__all__ = [
    "ActivePower", "Cuda", "Emulator", "EthosU", "EventCosts", "Host", "Llvm", "Memory", "Region", "Systolic", "Target",
    "cpu_flags", "detect", "get", "gpu", "host", "names", "read",
]  # fmt: skip

_LINUX = r"(x86_64|aarch64|riscv64|armv\d[^-]*)-([^-]+-)?linux"
"""Triples of the systems that libraries are linked for."""


def names() -> list[str]:
    """Names of all targets that can be asked for: "host", then the files of ``tvmopt.targets``."""
    return ["host", *sorted(_files())]


def get(target: str | Path | Target) -> Target:
    """Find a target by name ("host" is this machine, "cuda/host" its GPU), or read it from a TOML file.

    Raises TargetError for an unknown name (with the nearest ones), an unreadable file, an unknown key or a value
    of the wrong type; DeviceError for "cuda/host" where there is no GPU.
    """
    if isinstance(target, Target):
        return target
    if str(target) == "host":
        return host()
    if str(target) == "cuda/host":
        return gpu()
    if str(target).endswith(".toml"):
        return read(Path(target))
    files = _files()
    if str(target) not in files:
        hint = f"{near(str(target), names())}; or give the path of a .toml file"
        raise TargetError(f"unknown target '{target}'", hint=hint)
    return read(files[str(target)])


def read(path: Path) -> Target:
    """Read one target file."""
    table = _table(path)
    accelerator = table.get("accelerator")
    if isinstance(accelerator, dict) and isinstance(accelerator.get("host"), str):
        table = _inherited(accelerator["host"], path) | table
    try:
        target = msgspec.convert(table, Target)
    except msgspec.ValidationError as error:
        raise TargetError(str(error), file=path, hint=_hint(str(error))) from None
    known = _schedules()
    for name in target.schedules:
        if name not in known:
            raise TargetError(f"there is no schedule rule '{name}'", file=path, hint=near(name, known))
    if target.backend != "static_c" and not re.match(_LINUX, target.llvm.mtriple):
        reason = f"there are no libraries for '{target.llvm.mtriple}' - at `$.llvm.mtriple`"
        raise TargetError(reason, file=path, hint='their systems are Linux, as in "aarch64-linux-gnu"')
    _check_regions(target, path)
    _check_energy(target, path)
    return target


def _hint(wrong: str) -> str | None:
    """What msgspec does not say of a wrong name or key: the right ones."""
    found = re.match(r"(?:Invalid|Object).*?['`](?P<name>[^'`]+)['`](?: - at `\$\.(?P<keys>.+)`)?$", wrong)
    if found is None:
        return None
    types, tags = [msgspec.inspect.type_info(Target)], []
    for key in filter(None, (found["keys"] or "").split(".")):
        fields = [field for struct in types if isinstance(struct, StructType) for field in struct.fields]
        tags = [str(struct.tag) for struct in types if isinstance(struct, StructType) and struct.tag_field == key]
        named = [field.type for field in fields if field.encode_name == key]
        types = [one for field in named for one in (field.types if isinstance(field, UnionType) else [field])]
    keys = [field.encode_name for struct in types if isinstance(struct, StructType) for field in struct.fields]
    values = [str(value) for literal in types if isinstance(literal, LiteralType) for value in literal.values]
    known = tags or values or keys
    return near(found["name"], known) if known else None


def _table(path: Path) -> dict[str, Any]:
    """What a target file says, unchecked."""
    try:
        table = msgspec.toml.decode(path.read_bytes())
    except OSError as error:
        raise TargetError(f"cannot be read: {error.strerror}", file=path) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise TargetError(str(error), file=path) from None
    assert isinstance(table, dict)
    return table


def _inherited(name: str, path: Path) -> dict[str, Any]:
    """What a target with an accelerator has from its host."""
    try:
        host = get(name)
    except TargetError as error:
        raise TargetError(f"its host: {error.reason}", file=path, hint=error.hint) from None
    if host.accelerator is not None:
        raise TargetError(f"its host {name} has an accelerator itself", file=path)
    table = msgspec.to_builtins(host)
    return {key: table[key] for key in ("backend", "schedules", "llvm", "activation")}


def host() -> Target:
    """The target that this machine is."""
    return detect(platform.machine(), cpu_flags())


def gpu() -> Target:
    """The target that this machine's first GPU is: the latest architecture that is no later than its own, with as many
    multiprocessors and as much shared memory as it has.

    Raises DeviceError without a GPU, TargetError for one that is older than all targets.
    """
    found = driver.find()
    known = {target.cuda.number: (target, target.cuda) for target in map(read, _files().values()) if target.cuda}
    fits = [number for number in known if number <= found.capability]
    if not fits:
        raise TargetError(f"there is no target for a GPU as old as sm_{found.capability}")
    target, cuda = known[max(fits)]
    own = {"multiprocessors": found.multiprocessors, "shared_kib": found.shared // 1024}
    return msgspec.structs.replace(target, cuda=msgspec.structs.replace(cuda, **own))


@functools.cache
def detect(machine: str, flags: frozenset[str]) -> Target:
    """The most demanding target whose ``[host]`` a machine meets.

    Raises TargetError where there is none.
    """
    fits: list[tuple[int, Target]] = []
    for path in _files().values():
        if "host" not in _table(path):
            continue
        target = read(path)
        if target.host and target.host.machine == machine and flags.issuperset(target.host.flags):
            fits.append((len(target.host.flags), target))
    if not fits:
        raise TargetError(f"this machine ({machine}) has no target of its own", hint="name one with -t")
    return max(fits, key=lambda fit: fit[0])[1]


def cpu_flags() -> frozenset[str]:
    """Feature flags of this machine's CPU as Linux names them; empty where /proc/cpuinfo is not there."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return frozenset()
    found = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return frozenset(found.partition(":")[2].split())


def _check_regions(target: Target, path: Path) -> None:
    names = [region.name for region in target.memory.regions]
    if names and target.backend != "static_c":
        raise TargetError("only the workspace of a microcontroller is split across memory regions", file=path)
    if twice := [name for name in names if names.count(name) > 1]:
        raise TargetError(f"there are two memory regions '{twice[0]}'", file=path)
    if target.emulator and (unknown := target.emulator.regions.keys() - set(names)):
        raise TargetError(f"the emulator has an address for '{min(unknown)}', which is no memory region", file=path)


def _check_energy(target: Target, path: Path) -> None:
    """Each kind of figure is for what counts those events."""
    array = isinstance(target.accelerator, Systolic)
    if isinstance(target.energy, EventCosts) and not array:
        raise TargetError("energy by events is a systolic array's", file=path, hint='kind = "active-power"')
    microcontroller = target.backend == "static_c" and target.accelerator is None
    if isinstance(target.energy, ActivePower) and not microcontroller:
        hint = 'kind = "events"' if array else None
        raise TargetError("energy by active power is a microcontroller's", file=path, hint=hint)


@functools.cache
def _files() -> dict[str, Path]:
    root = Path(str(resources.files("tvmopt.targets")))
    return {path.relative_to(root).with_suffix("").as_posix(): path for path in root.rglob("*.toml")}


@functools.cache
def _schedules() -> list[str]:
    root = Path(str(resources.files("tvmopt.schedules")))
    return sorted(path.stem for path in root.glob("*.py") if not path.stem.startswith("_"))
