# %% [markdown]
# # Compile a quantized, pruned model in Python
#
# From an ONNX file to a shared library, and back to numbers. The model is the one that comes with tvmopt: a small
# int8 CNN that names handwritten digits, with half of its channels pruned. Any quantized ONNX file works the same way.

# %%
import tempfile
from pathlib import Path

import numpy as np

import tvmopt
from tvmopt import demo

with np.load(demo.HELD_OUT) as held_out:
    images, labels = held_out["input"], held_out["labels"]  # float32 [600, 1, 8, 8], pixels 0..16; int64 [600]

# %% [markdown]
# ## Load
#
# `load` checks the file and brings every way of writing a quantized operator in ONNX into one. A `Model` knows its
# inputs and outputs.

# %%
model = tvmopt.load(demo.INT8_MODEL)
for spec in (*model.inputs, *model.outputs):
    print(spec.name, spec.dtype, spec.shape)

# %% [markdown]
# ## Look inside
#
# `inspect` tells how much of the model runs in int8, and how much of it is zero. Removing what a pruned channel
# computes never changes a bit of the result.

# %%
report = tvmopt.inspect(model)
print(f"{report.quantized_ops} operators in int8, {report.float_ops} in float")
print(f"{report.dead_channels} dead channels; {report.zero_fraction:.0%} of the weights are zero")
print(f"MACs: {report.macs}, after folding {report.macs_after_folding}")

# %% [markdown]
# ## Compile
#
# The target "host" is this machine's CPU; `tvmopt targets` lists the others. The artifact is a shared library with a
# plain C interface: where it runs, neither TVM nor tvmopt has to be installed.

# %%
artifact = tvmopt.compile(model, "host")

# %% [markdown]
# ## Save, open, run

# %%
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "digits.so"
    artifact.save(path)
    print(f"{path.name}: {path.stat().st_size} bytes")
    digits = tvmopt.open(path)
    logits = np.concatenate([digits.run({"input": image[None]})["logits"] for image in images])

accuracy = np.mean(logits.argmax(axis=1) == labels)
print(f"accuracy on {len(labels)} held-out images: {accuracy:.4f}")
assert accuracy > 0.98

# %% [markdown]
# ## Verify
#
# `verify` feeds ONNX Runtime and the compiled model the same inputs, end to end and one quantized tensor at a time. Its
# `max_lsb` is the largest difference, in steps of the quantization of the tensor it was found in.

# %%
verified = tvmopt.verify(model, "host", data=demo.HELD_OUT)
print(f"{verified.exact_ops} of {len(verified.layers)} layers equal ONNX Runtime's, bit for bit")
print(f"largest difference: {verified.max_lsb} LSB; top-1 agreement: {verified.top1_agreement:.2%}")
