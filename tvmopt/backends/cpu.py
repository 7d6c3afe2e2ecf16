"""C code by which an artifact finds out whether the CPU it is on can run it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..target import Target

# LLVM features that generated code may depend on, beyond the least CPU of each architecture, and how C asks for each.
# x86: (CPUID leaf, subleaf, which of eax, ebx, ecx, edx) -> bits (Intel SDM volume 2A, CPUID).
_X86 = {
    (1, 0, 2): {"sse3": 0, "ssse3": 9, "fma": 12, "sse4.1": 19, "sse4.2": 20, "popcnt": 23, "avx": 28, "f16c": 29},
    (7, 0, 1): {
        "bmi": 3,
        "avx2": 5,
        "bmi2": 8,
        "avx512f": 16,
        "avx512dq": 17,
        "avx512ifma": 21,
        "avx512cd": 28,
        "avx512bw": 30,
        "avx512vl": 31,
    },
    (7, 0, 2): {
        "avx512vbmi": 1,
        "avx512vbmi2": 6,
        "gfni": 8,
        "avx512vnni": 11,
        "avx512bitalg": 12,
        "avx512vpopcntdq": 14,
    },
    (7, 0, 3): {"amx-bf16": 22, "amx-tile": 24, "amx-int8": 25},
    (7, 1, 0): {"avxvnni": 4, "avx512bf16": 5},
}
# Registers that the system must save: bits of XCR0, which can be read if OSXSAVE says so.
_XCR0 = {"avx": 0x6, "avx512f": 0xE6, "amx-tile": 0x60000}
_OSXSAVE = 27  # of (1, 0, 2)
_CPUID = """\
static int cpuid(unsigned leaf, unsigned subleaf, unsigned a, unsigned b, unsigned c, unsigned d) {
  unsigned r[4] = {0};
  return __get_cpuid_count(leaf, subleaf, &r[0], &r[1], &r[2], &r[3]) && (r[0] & a) == a && (r[1] & b) == b &&
         (r[2] & c) == c && (r[3] & d) == d;
}

static int saved(unsigned registers) {
  unsigned low, high;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (low & registers) == registers;
}

"""
_HWCAPS = {
    "aarch64": {
        "lse": "AT_HWCAP, HWCAP_ATOMICS",
        "fullfp16": "AT_HWCAP, HWCAP_FPHP | HWCAP_ASIMDHP",
        "rdm": "AT_HWCAP, HWCAP_ASIMDRDM",
        "dotprod": "AT_HWCAP, HWCAP_ASIMDDP",
        "sve": "AT_HWCAP, HWCAP_SVE",
        "i8mm": "AT_HWCAP2, HWCAP2_I8MM",
        "bf16": "AT_HWCAP2, HWCAP2_BF16",
        "sve2": "AT_HWCAP2, HWCAP2_SVE2",
    },
    "arm": {
        "neon": "AT_HWCAP, HWCAP_NEON",
        "vfp4": "AT_HWCAP, HWCAP_VFPv4",
        "hwdiv": "AT_HWCAP, HWCAP_IDIVT",
    },
    "riscv64": {"zve64d": "AT_HWCAP, 1ul << ('V' - 'A')"},
}

# Linux wants a process to ask for the AMX tile registers before it uses them, and refuses without AMX.
_AMX = "!syscall(SYS_arch_prctl, 0x1023 /* ARCH_REQ_XCOMP_PERM */, 18 /* XTILEDATA */)"

_CHECK = """\
{helpers}int32_t tvmopt_{name}_check(void) {{
  static _Atomic int32_t known = -1; /* the answer is always the same: who computes it first does not matter */
  int32_t status = known;
  if (status < 0) known = status = {condition} ? TVMOPT_OK : TVMOPT_CPU;
  return status;
}}"""
_NO_CHECK = "int32_t tvmopt_{name}_check(void) {{ return TVMOPT_OK; }}"


def check(target: Target, name: str) -> tuple[str, str]:
    """Include lines, and the definition of ``tvmopt_<name>_check``, for code compiled for ``target``."""
    arch, features = architecture(target), target.llvm_features
    helpers = ""
    if arch == "x86_64":
        conditions, includes, helpers = _cpuid(features), ["cpuid.h"], _CPUID
        if "amx-tile" in features:
            conditions.append(_AMX)
            includes += ["sys/syscall.h", "unistd.h"]
    else:  # bare metal: an image is built for one core
        asked = [caps for feature, caps in _HWCAPS.get(arch, {}).items() if feature in features]
        conditions = [f"(getauxval({a}) & ({bits})) == ({bits})" for a, bits in (caps.split(", ") for caps in asked)]
        includes = ["asm/hwcap.h", "sys/auxv.h"]
    if not conditions:
        return "", _NO_CHECK.format(name=name)
    condition = "(" + "\n      && ".join(conditions) + ")"
    return (
        "".join(f"#include <{include}>\n" for include in includes),
        _CHECK.format(name=name, condition=condition, helpers=helpers),
    )


def _cpuid(features: frozenset[str]) -> list[str]:
    """Conditions on CPUID, one for each leaf, and on what the system saves."""
    masks = {where: sum(1 << bits[name] for name in bits.keys() & features) for where, bits in _X86.items()}
    saved = 0
    for feature, state in _XCR0.items():
        saved |= state if feature in features else 0
    if saved:
        masks[1, 0, 2] |= 1 << _OSXSAVE
    conditions = []
    for leaf, subleaf in sorted({where[:2] for where, mask in masks.items() if mask}):
        registers = ", ".join(hex(masks.get((leaf, subleaf, register), 0)) for register in range(4))
        conditions.append(f"cpuid({leaf}, {subleaf}, {registers})")
    return conditions + ([f"saved({hex(saved)})"] if saved else [])


def architecture(target: Target) -> str:
    """ "x86_64", "aarch64", "arm" (Linux), "thumb" (bare metal), "riscv32" or "riscv64"."""
    arch = target.llvm.mtriple.partition("-")[0]
    for known in ("arm", "thumb"):
        if arch.startswith(known + "v"):
            return known
    return arch
