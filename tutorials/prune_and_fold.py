# %% [markdown]
# # Prune a model, quantize it, and get what pruning promised
#
# A pruned network is full of zeros, and most runtimes multiply by them as patiently as by other numbers. Here a float
# model is pruned and quantized, then compiled so that what became useless is gone, without changing a bit.

# %%
import tempfile
from pathlib import Path

import numpy as np

import tvmopt
from tvmopt import demo
from tvmopt.compression import Quantize

folder = tempfile.TemporaryDirectory()
pruned = Path(folder.name) / "pruned.onnx"
with np.load(demo.HELD_OUT) as held_out:
    images = held_out["input"]  # float32 [600, 1, 8, 8]

# %% [markdown]
# ## Prune and quantize
#
# `compress` prunes by magnitude, and leaves quantization to ONNX Runtime's quantizer. Nothing is trained, so the
# accuracy on your own data decides how far to go: it is printed before and after. Patterns: whole channels
# ("channels:0.5"), blocks ("block16x1:0.8"), "2:4" for hardware that has it, and "unstructured:0.5".
#
# The bundled float model was trained with half of its channels pruned. Taking more of them without training costs too
# much, other patterns less; what follows uses the model as it is.

# %%
quantize = Quantize("int8", calibration=demo.HELD_OUT)
for pattern in ("channels:0.6", "2:4", "unstructured:0.6", None):
    done = tvmopt.compress(demo.FLOAT_MODEL, pruned, prune=pattern, quantize=quantize, data=demo.HELD_OUT)
    accuracy = f"{done.accuracy_before:.4f} -> {done.accuracy_after:.4f}"
    print(f"{pattern or 'as it is':17} {done.zero_weights_after / done.weights:4.0%} zeros, accuracy {accuracy}")

# %% [markdown]
# ## What folding makes of it
#
# A channel whose weights are all zero is a constant. It is folded into the biases of what reads it, through
# activations, additions and pooling, at padded borders too; then its weights, its activations and its MACs are gone.

# %%
model = tvmopt.load(pruned)
report = tvmopt.inspect(model)
print(f"{report.dead_channels} dead channels")
print(f"MACs   {report.macs:9,} -> {report.macs_after_folding:9,}")
print(f"bytes  {report.weight_bytes:9,} -> {report.weight_bytes_after_folding:9,} of weights")
for op in report.ops:
    if op.removed_channels:
        print(f"  {op.name}: {op.removed_channels} channels removed")

# %% [markdown]
# ## The same bits, in less time
#
# `sparsity=False` compiles the model with all of its zeros. Zeros that are left after folding are skipped by sparse
# kernels where that is faster; the last step of the manifest's history says for every layer why it is, or is not.

# %%
folded, unfolded = tvmopt.compile(model), tvmopt.compile(model, sparsity=False)
for image in images[:100]:
    feeds = {"input": image[None]}
    assert np.array_equal(folded.run(feeds)["logits"], unfolded.run(feeds)["logits"])
times = {name: tvmopt.bench(one).rows[0].min_us for name, one in (("folded", folded), ("unfolded", unfolded))}
print(", ".join(f"{name} {us:.1f} us" for name, us in times.items()))
for tensor, reason in folded.manifest["history"][-1]["notes"].items():
    print(f"  {tensor}: {reason}")

folder.cleanup()
