"""C code by which an artifact finds out whether the CPU it is on can run it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..target import Target

# LLVM features that generated code may depend on, beyond the least CPU of each architecture, and how C asks
# for each. x86: names that every GCC and Clang of the last ten years knows; f16c, lzcnt and the like came to
# market with avx2 and are not asked for.
_X86 = (
    *("sse3", "ssse3", "sse4.1", "sse4.2", "popcnt", "avx", "avx2", "fma", "bmi", "bmi2"),
    *("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl", "avx512vbmi", "avx512vnni", "avx512bf16"),
    *("avx512vbmi2", "avx512bitalg", "avx512ifma", "avx512vpopcntdq"),
)
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
int32_t tvmopt_{name}_check(void) {{
  static _Atomic int32_t known = -1; /* the answer is always the same: who computes it first does not matter */
  int32_t status = known;
  if (status < 0) known = status = {condition} ? TVMOPT_OK : TVMOPT_CPU;
  return status;
}}"""
_NO_CHECK = "int32_t tvmopt_{name}_check(void) {{ return TVMOPT_OK; }}"


def check(target: Target, name: str) -> tuple[str, str]:
    """Include lines, and the definition of ``tvmopt_<name>_check``, for code compiled for ``target``."""
    conditions, includes = _conditions(target)
    if not conditions:
        return "", _NO_CHECK.format(name=name)
    condition = "\n      && ".join(conditions)
    return "".join(f"#include <{i}>\n" for i in includes), _CHECK.format(name=name, condition=f"({condition})")


def _conditions(target: Target) -> tuple[list[str], list[str]]:
    from tvm.target import codegen

    arch = architecture(target)
    if arch == "thumb":
        return [], []  # bare metal: an image is built for one core
    features = set(map(str, codegen.llvm_get_cpu_features(target.tvm())))
    if arch == "x86_64":
        conditions = [f'__builtin_cpu_supports("{f}")' for f in _X86 if f in features]
        if "amx-int8" in features:
            return [*conditions, _AMX], ["sys/syscall.h", "unistd.h"]
        return conditions, []
    asked = [caps for feature, caps in _HWCAPS[arch].items() if feature in features]
    conditions = [
        f"(getauxval({a}) & ({bits.strip()})) == ({bits.strip()})" for a, bits in (c.split(",") for c in asked)
    ]
    return conditions, ["asm/hwcap.h", "sys/auxv.h"]


def architecture(target: Target) -> str:
    """ "x86_64", "aarch64", "arm" (Linux), "thumb" (bare metal), "riscv32" or "riscv64"."""
    arch = target.llvm.mtriple.partition("-")[0]
    for known in ("arm", "thumb"):
        if arch.startswith(known + "v"):
            return known
    return arch
