# %% [markdown]
# # Deploy a model in a C program
#
# A compiled model is a shared library with three C functions and a header that describes them. The program that uses
# it needs neither Python nor TVM: here it is `deploy_in_c.c`, 40 lines beside this file.

# %%
import subprocess
import tempfile
from pathlib import Path

import numpy as np

import tvmopt
from tvmopt import demo
from tvmopt.backends import link

source = Path(__file__).with_suffix(".c")

with np.load(demo.HELD_OUT) as held_out:
    images, labels = held_out["input"], held_out["labels"]  # float32 [600, 1, 8, 8], pixels 0..16; int64 [600]

# %% [markdown]
# ## Compile the model, then the program
#
# `save` writes the header beside the library. For another machine, name its target instead of "host" and use its
# compiler: `tvmopt.compile(model, "arm/cortex-a76")` and `aarch64-linux-gnu-gcc`.

# %%
with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    artifact = tvmopt.compile(demo.INT8_MODEL, "host")
    artifact.save(folder / "digits.so")
    print(*sorted(path.name for path in folder.iterdir()))
    compiler = link.compiler(tvmopt.target.get("host"))
    subprocess.run(
        [*compiler, "-O2", "-I.", source, "digits.so", "-Wl,-rpath,.", "-o", "digits"], cwd=folder, check=True
    )

    # %% [markdown]
    # ## Run it

    # %%
    done = subprocess.run(["./digits"], cwd=folder, input=images.tobytes(), capture_output=True, check=True)

print(done.stderr.decode(), end="")
classes = np.array(done.stdout.split(), int)
print(f"accuracy on {len(labels)} held-out images: {np.mean(classes == labels):.4f}")

# %% [markdown]
# The numbers are those of Python, which runs the same library.

# %%
logits = np.concatenate([artifact.run({"input": image[None]})["logits"] for image in images])
assert np.array_equal(classes, logits.argmax(axis=1))
