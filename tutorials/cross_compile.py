# %% [markdown]
# # Compile a model for another machine
#
# A target is a name: "arm/cortex-a72" is the Raspberry Pi 4, "arm/cortex-m4" a microcontroller without an operating
# system; `tvmopt targets` lists them all. What is compiled for another machine runs here in an emulator of its CPU, so
# that its numbers can be checked before there is a board.
#
# This needs a cross compiler and an emulator for each (Debian packages gcc-aarch64-linux-gnu and qemu-user;
# gcc-arm-none-eabi, libnewlib-arm-none-eabi and qemu-system-arm).

# %%
import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np

import tvmopt
from tvmopt import demo

model = tvmopt.load(demo.INT8_MODEL)
with np.load(demo.HELD_OUT) as held_out:
    images = held_out["input"][:20]  # float32 [20, 1, 8, 8], pixels 0..16
here = tvmopt.compile(model, "host")
expected = np.concatenate([here.run({"input": image[None]})["logits"] for image in images])


def show(folder: Path) -> None:
    for path in sorted(folder.iterdir()):
        print(f"{path.stat().st_size:>8}  {path.name}")


scratch = tempfile.TemporaryDirectory()

# %% [markdown]
# ## A Linux board
#
# The artifact is a shared library for the board, as it is for this machine. Beside it lie its header and a plan of its
# memory: which buffer lives where in the workspace, and when.

# %%
board = tvmopt.compile(model, "arm/cortex-a72")
linux = Path(scratch.name) / "linux"
linux.mkdir()
board.save(linux / "digits.so")
show(linux)

# %% [markdown]
# `run` starts an emulator of the board's CPU. Every bit is the same as on this machine. On the board itself, which
# needs only Python and numpy, `tvmopt.open("digits.so").run(...)` gives it; without Python, see `deploy_in_c.py`.

# %%
logits = np.concatenate([board.run({"input": image[None]})["logits"] for image in images])
assert np.array_equal(logits, expected)
print(f"{board.manifest['target']}: {len(images)} images, all bits equal to this machine's")

# %% [markdown]
# ## A microcontroller
#
# The artifact is a folder. An application takes `model.h` and `model.c`, the kernels `model_kernels.o` and the weights
# `model_weights.bin` with `model_data.S`, which places them in flash. The rest is a small project that runs the model
# by itself: startup code, linker script, `main.c` and Makefile. Where a program has several models, each gets a name:
# `compile(..., name="digits")` makes `digits.h` and `tvmopt_digits_run`.

# %%
microcontroller = tvmopt.compile(model, "arm/cortex-m4")
bare_metal = Path(scratch.name) / "bare_metal"
microcontroller.save(bare_metal)
show(bare_metal)

# %% [markdown]
# It needs no heap and no operating system: the caller gives it memory for inputs, outputs and one workspace, whose size
# is known before it runs.

# %%
memory = json.loads((bare_metal / "model_manifest.json").read_text())["memory"]
print(f"flash for weights: {memory['weights_bytes']} bytes; RAM for the workspace: {memory['workspace_bytes']} bytes")

logits = np.concatenate([microcontroller.run({"input": image[None]})["logits"] for image in images])
assert np.array_equal(logits, expected)
print(f"{microcontroller.manifest['target']}: {len(images)} images, all bits equal to this machine's")

# %% [markdown]
# ## The project by itself
#
# `make run` does the same without Python: inputs on standard input, outputs on standard output, and then how many ticks
# of the processor's clock the last call took. The emulator's clock ticks by instructions, not by time.

# %%
subprocess.run(["make", "--silent"], cwd=bare_metal, check=True)
done = subprocess.run(
    ["make", "--silent", "run"], cwd=bare_metal, input=images.tobytes(), capture_output=True, check=True
)
assert done.stdout == expected.tobytes()
print(f"one call: {int(done.stderr)} ticks")

scratch.cleanup()
