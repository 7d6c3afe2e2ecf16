"""What a target file says: data about a device, and the TVM target that follows from it."""

from __future__ import annotations

import difflib
import functools
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from .errors import TargetError

if TYPE_CHECKING:
    import tvm


_LITTLE_ENDIAN = r"^(x86_64|aarch64|riscv32|riscv64|(armv|thumbv)\d[^-]*(?<!eb))-"
"""Triples of the architectures that tvmopt knows; weights and constants are written in this byte order."""


class Llvm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab", omit_defaults=True):
    """What LLVM generates code for: attributes of a TVM target of kind "llvm".

    Attributes
    ----------
    mtriple    : target triple; its first part is one of the architectures that tvmopt knows.
    mcpu       : CPU name as ``llc -mcpu=help`` lists it.
    mattr      : features on top of those of ``mcpu``, each with its sign: "+avx512vnni".
    mfloat_abi : "hard" or "soft", Arm only.
    mabi       : calling convention, RISC-V only ("lp64d").
    vector_width : bits, 32 without vectors; for CPUs of which LLVM cannot tell.
    """

    kind: Literal["llvm"]
    mtriple: Annotated[str, msgspec.Meta(pattern=_LITTLE_ENDIAN)]
    mcpu: str
    mattr: list[Annotated[str, msgspec.Meta(pattern=r"^[+-][a-z0-9._-]+$")]] = []
    mfloat_abi: Literal["hard", "soft"] | None = None
    mabi: str | None = None
    vector_width: int | None = None


class Cuda(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An NVIDIA GPU: what device code is compiled for.

    Attributes
    ----------
    arch : compute capability as nvcc writes it.
    multiprocessors : that blocks of threads are shared out among; kernels run with any other number, too.
    shared_kib : KiB of shared memory that a block of threads may have (CUDA C++ Programming Guide, "Compute
                 Capabilities").
    """

    arch: Annotated[str, msgspec.Meta(pattern=r"^sm_\d{2,3}$")]
    multiprocessors: Annotated[int, msgspec.Meta(gt=0)]
    shared_kib: Annotated[int, msgspec.Meta(ge=48)]

    @property
    def number(self) -> int:
        """Ten times the major version plus the minor one."""
        return int(self.arch.removeprefix("sm_"))


class Host(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a machine must report to be compiled for as this target: ``platform.machine()`` and CPU flags."""

    machine: str
    flags: list[str]


class Region(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A memory for a model's workspace, or a part of one: KiB, None where they are not a limit."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]*$")]
    kib: int | None


class Memory(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Memory of a device, KiB; None where it is not a limit.

    Attributes
    ----------
    regions : of a microcontroller, what of its memory a workspace may use, fastest first; all of it if none is given.
    """

    flash_kib: int | None = None
    sram_kib: int | None = None
    regions: list[Region] = []
    source: str = ""

    @property
    def for_workspace(self) -> list[Region]:
        """At least one."""
        return self.regions or [Region("sram", self.sram_kib)]


class ActivePower(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="active-power"):
    """A microcontroller draws the same power whatever it computes, so its energy is that of the time it takes.

    Attributes
    ----------
    clock_mhz              : of the CPU, and
    active_mw              : what the chip draws at it.
    cycles_per_instruction : mean over an inference; wait states of its memories are in it.
    source                 : where the numbers come from.
    """

    clock_mhz: Annotated[int, msgspec.Meta(gt=0)]
    active_mw: Annotated[float, msgspec.Meta(gt=0)]
    cycles_per_instruction: Annotated[float, msgspec.Meta(gt=0)]
    source: str


class EventCosts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="events"):
    """What an array and its memories do costs energy, in pJ: a multiply-accumulate of 8-bit factors; a byte that is
    read or written of partial sums, on chip, and in DRAM.

    source : where the numbers come from.
    """

    pj_per_mac: Annotated[float, msgspec.Meta(gt=0)]
    pj_per_accumulator_byte: Annotated[float, msgspec.Meta(gt=0)]
    pj_per_chip_byte: Annotated[float, msgspec.Meta(gt=0)]
    pj_per_dram_byte: Annotated[float, msgspec.Meta(gt=0)]
    source: str


class Emulator(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What runs a program for this target on another machine.

    Attributes
    ----------
    command   : up to the program.
    flash     : without an operating system: address where code and constants lie, and
    flash_kib : how much of it the emulated machine has,
    ram       : likewise for everything else,
    ram_kib
    regions   : but for regions of ``Memory`` that have an address of their own,
    clock_mhz : and what SysTick counts.
    """

    command: list[str]
    flash: int = 0
    flash_kib: int = 0
    ram: int = 0
    ram_kib: int = 0
    regions: dict[str, int] = {}
    clock_mhz: int | None = None


class EthosU(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="ethos-u"):
    """An Arm Ethos-U NPU: names that its compiler, Vela, knows.

    Attributes
    ----------
    host          : target whose CPU computes what the accelerator does not take.
    config        : the NPU and how many multiply-accumulates it does in a cycle.
    system_config : clocks and memories, of ``config_file``.
    memory_mode   : which memory holds weights and which activations, likewise.
    config_file   : as Vela finds it: "Arm/vela.ini" is its own.
    """

    host: str
    config: Literal[
        "ethos-u55-32", "ethos-u55-64", "ethos-u55-128", "ethos-u55-256",
        "ethos-u65-256", "ethos-u65-512",
        "ethos-u85-128", "ethos-u85-256", "ethos-u85-512", "ethos-u85-1024", "ethos-u85-2048",
    ]  # fmt: skip
    system_config: str
    memory_mode: str
    config_file: str = "Arm/vela.ini"

    @property
    def family(self) -> str:
        """ "ethos-u55", "ethos-u65" or "ethos-u85"."""
        return self.config.rpartition("-")[0]

    @property
    def kind(self) -> str:
        """As in the target file."""
        return "ethos-u"


class Systolic(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="systolic"):
    """A weight-stationary systolic array of int8 multipliers, with memories of its own, that is simulated.

    Attributes
    ----------
    host            : target whose CPU computes what the accelerator does not take.
    rows, columns   : elements of the sum, and sums, at a time.
    clock_mhz       : of all of it.
    memory_kib      : on-chip memory, for tensors and weights.
    accumulator_kib : memory for int32 partial sums.
    dram_bytes_per_cycle : what the DMA moves between DRAM and the on-chip memory.
    source          : where the numbers come from.
    """

    host: str
    rows: Annotated[int, msgspec.Meta(ge=1, le=1024)]  # so that sums of int8 products are exact in float32
    columns: Annotated[int, msgspec.Meta(ge=1)]
    clock_mhz: Annotated[int, msgspec.Meta(ge=1)]
    memory_kib: Annotated[int, msgspec.Meta(ge=1)]
    accumulator_kib: Annotated[int, msgspec.Meta(ge=1)]
    dram_bytes_per_cycle: Annotated[int, msgspec.Meta(ge=1)]
    source: str

    def __post_init__(self) -> None:
        if self.accumulator_kib * 1024 < 4 * self.columns:
            raise ValueError(f"accumulator_kib = {self.accumulator_kib} has no room for {self.columns} sums")

    @property
    def kind(self) -> str:
        """As in the target file."""
        return "systolic"


class Target(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A device family.

    Attributes
    ----------
    name       : "family/device", as on the command line.
    summary    : one line for people.
    backend    : which back end writes its artifact.
    tested     : how the results of its code are checked, one line for people.
    requantize : "float" (ONNX Runtime's result) or "fixed" (TOSA RESCALE).
    activation : signedness its kernels want for activations; None keeps the model's.
    schedules  : schedule rules, first match wins (modules of ``tvmopt.schedules``).
    llvm       : what LLVM generates code for; where there is a GPU, the part of the artifact that calls it.
    cuda       : the GPU that kernels run on; None for CPUs.
    host       : which machines "host" stands for this target on; None for devices that do not run tvmopt.
    energy     : what work costs; None where there are no figures that can be checked. ``ActivePower`` is a
                 microcontroller's, ``EventCosts`` a systolic array's.
    accelerator : what computes the regions that it takes. ``backend``, ``schedules``, ``llvm`` and ``activation`` of a
                 target with one are those of the accelerator's host, unless its own file has them.
    """

    name: str
    summary: str
    backend: Literal["library", "static_c", "cuda"]
    tested: str
    schedules: list[str]
    llvm: Llvm
    cuda: Cuda | None = None
    requantize: Literal["float", "fixed"] = "float"
    activation: Literal["uint8", "int8"] | None = None
    host: Host | None = None
    memory: Memory = Memory()
    energy: ActivePower | EventCosts | None = None
    emulator: Emulator | None = None
    accelerator: EthosU | Systolic | None = None

    def tvm(self) -> tvm.target.Target:
        """The TVM target that code is generated for.

        Raises TargetError for a CPU or a feature that LLVM does not know (LLVM itself would print a warning
        and generate code for another CPU).
        """
        host = _tvm_target(self.name, msgspec.json.encode(self.llvm))
        return host if self.cuda is None else _cuda_target(self.cuda, host)

    @property
    def softmax(self) -> Literal["float", "fixed"]:
        """The arithmetic of a quantized softmax: integers, too, where float has to be emulated."""
        return "fixed" if self.llvm.mfloat_abi == "soft" else self.requantize

    @property
    def float16(self) -> bool:
        """Whether compiled code can convert float16. Where no instruction does, LLVM calls a function that TVM adds to
        the code, on RISC-V with another calling convention than LLVM's (the results would be wrong), and on Arm
        without an FPU under another name."""
        if self.llvm.mtriple.startswith("riscv"):
            return bool(self.features & {"zfh", "zfhmin"})
        return self.llvm.mfloat_abi != "soft"

    @property
    def features(self) -> frozenset[str]:
        """CPU features that generated code may use ("avx512vnni", "dotprod", ...)."""
        return frozenset(name[1:] for name in self.llvm.mattr if name.startswith("+"))

    @property
    def llvm_features(self) -> frozenset[str]:
        """All that LLVM uses, by its names: ``features``, what they imply, and what the CPU's name stands for."""
        return _llvm_features(_tvm_target(self.name, msgspec.json.encode(self.llvm)))

    @property
    def vector_bytes(self) -> int:
        """Bytes in the widest register that code should use; 4 where there are no vectors."""
        if self.llvm.vector_width is not None:
            return self.llvm.vector_width // 8
        if "avx512bw" in self.features:
            return 64
        return 32 if "avx2" in self.features else 16


def near(name: str, known: list[str]) -> str:
    """A hint: the known names that are like a wrong one."""
    return "near: " + ", ".join(difflib.get_close_matches(name, known, n=3, cutoff=0.4) or known)


def _llvm_features(target: tvm.target.Target) -> frozenset[str]:
    from tvm.target import codegen

    return frozenset(map(str, codegen.llvm_get_cpu_features(target)))


@functools.cache
def _cuda_target(cuda: Cuda, host: tvm.target.Target) -> tvm.target.Target:
    import tvm

    shared = cuda.shared_kib * 1024
    return tvm.target.Target({"kind": "cuda", "arch": cuda.arch, "max_shared_memory_per_block": shared}, host)


@functools.cache
def _tvm_target(name: str, llvm: bytes) -> tvm.target.Target:
    import tvm
    from tvm.target import codegen

    attrs = msgspec.json.decode(llvm)
    cpu, triple = attrs["mcpu"], attrs["mtriple"]
    if not codegen.llvm_is_valid_cpu(cpu, triple):
        cpus = codegen.llvm_get_cpu_archlist(tvm.target.Target({"kind": "llvm", "mtriple": triple}))
        raise TargetError(f"target {name}: LLVM has no CPU '{cpu}' for {triple}", hint=near(cpu, sorted(cpus)))
    target = tvm.target.Target(attrs)
    enabled = _llvm_features(target)
    for feature in attrs.get("mattr", []):
        if (feature[1:] in enabled) != (feature[0] == "+"):
            raise TargetError(f"target {name}: LLVM does not know feature '{feature}' for {triple}")
    return target
