# %% [markdown]
# # Tune overnight
#
# Every kernel has a default schedule that is good without tuning, and a few decisions around it: how many pixels a tile
# has, how many vectors of channels. Tuning measures other decisions on the machine itself and keeps what is faster. A
# campaign is started in the evening:
#
#     tvmopt tune MODEL.onnx -t host --records tuned.db --budget 8h
#
# and its records are used in the morning:
#
#     tvmopt compile MODEL.onnx -t host --records tuned.db -o MODEL.so
#
# This tutorial does the same in Python, in seconds instead of hours, on the model that comes with tvmopt.

# %%
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import tvmopt
from tvmopt import demo
from tvmopt.errors import TuningError
from tvmopt.tuning import exchange

folder = tempfile.TemporaryDirectory()
records = Path(folder.name) / "tuned.db"

# %% [markdown]
# ## Start
#
# A budget is a time ("8h", "30min"), a number of trials, or "until 1% gain per 30min". Several models may share it:
# kernels that they have in common are tuned once. The page can be opened in a browser while the campaign runs; it shows
# every kernel's best time so far, how well the cost model ranks, and what failed and why.

# %%
evening = tvmopt.tune(demo.INT8_MODEL, "host", records=records, budget="16trials", page=records.with_suffix(".html"))
print(f"{evening.trials} trials, {evening.failed} failed, in {evening.seconds:.0f} s")
print(f"{evening.baseline_us:.2f} us with default schedules, {evening.best_us:.2f} us with the best so far")

# %% [markdown]
# ## Stop, and go on
#
# Ctrl-C ends a campaign; so does a power cut. Every trial is in the database as soon as it is measured, so the same
# call goes on where it stopped: nothing is measured again, and the cost model still knows what it had learned.

# %%
night = tvmopt.tune(demo.INT8_MODEL, "host", records=records, budget="4trials")
print(f"{night.trials} trials more: {night.best_us:.2f} us")

# %% [markdown]
# ## Use
#
# `compile` takes the fastest right candidate of every kernel. Only decisions change, never a bit of the result: before
# a candidate may be the best, its output was compared with the default schedule's, on random and on extreme inputs.
# What was used is in the artifact's manifest.

# %%
plain = tvmopt.compile(demo.INT8_MODEL)
tuned = tvmopt.compile(demo.INT8_MODEL, records=records)
for kernel in tuned.manifest["tuned"]:
    print(f"{kernel['us']:8.3f} us", kernel["decisions"])

with np.load(demo.HELD_OUT) as held_out:
    image = {"input": held_out["input"][:1]}
np.testing.assert_array_equal(tuned.run(image)["logits"], plain.run(image)["logits"])

# %% [markdown]
# ## Look, and take along
#
#     tvmopt records list tuned.db                       every kernel: trials, default and best time
#     tvmopt records show tuned.db WORKLOAD              all trials of one, with the reason of those that failed
#     tvmopt records export tuned.db -o best.jsonl --keep 1
#     tvmopt records merge other.db best.jsonl
#     tvmopt records prune tuned.db                      what other versions of TVM or of a schedule rule measured
#
# Records fit every machine whose CPU has the same features. Those of other models and shapes are not lost on a new
# campaign either: its cost model learns from them before the first trial.

# %%
with tempfile.TemporaryDirectory() as other:
    copy = Path(other) / "best.jsonl"
    with exchange.open(records) as database:
        print(exchange.write(database, copy, keep=1), "kernels exported")
    assert tvmopt.compile(demo.INT8_MODEL, records=copy).manifest["tuned"]

# %% [markdown]
# ## On boards
#
# A board registers with a tracker, and campaigns that name the tracker and the board's key measure on it; all boards
# of the key work in parallel. [docs/boards.md](../docs/boards.md) tells what a board needs. Here this machine is one:
#
#     python -m tvm.exec.rpc_tracker --host 0.0.0.0 --port 9190 --port-end 9191
#     python -m tvm.exec.rpc_server --tracker TRACKER:9190 --key desk
#     tvmopt tune MODEL.onnx -t host --records tuned.db --budget 8h --tracker TRACKER:9190 --key desk


# %%
def start(module: str, port: int, *options: str) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        "-m",
        f"tvm.exec.{module}",
        "--host=127.0.0.1",
        f"--port={port}",
        f"--port-end={port + 1}",
    ]
    quiet = subprocess.DEVNULL
    return subprocess.Popen([*command, *options], start_new_session=True, stdout=quiet, stderr=quiet)


port = 20_000 + os.getpid() % 20_000
servers = [start("rpc_tracker", port), start("rpc_server", port + 2, "--tracker", f"127.0.0.1:{port}", "--key", "desk")]
try:
    while True:
        try:
            more = tvmopt.tune(
                demo.INT8_MODEL, "host", records=records, budget="4trials", tracker=f"127.0.0.1:{port}", key="desk"
            )
            break
        except TuningError as error:  # they are still starting
            print(error)
            if any(server.poll() is not None for server in servers):
                raise
            time.sleep(1)
finally:
    for server in servers:
        os.killpg(server.pid, signal.SIGKILL)  # servers leave processes behind, which are in their group
print(f"{more.trials} trials on boards")

# %%
folder.cleanup()
