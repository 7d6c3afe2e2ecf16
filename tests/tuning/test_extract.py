"""Tasks of models: each workload once, the same for the same work, another for other work."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.tuning import kernels
from tvmopt import frontend
from tvmopt import target as targets
from tvmopt.demo import INT8_MODEL
from tvmopt.lowering import lower
from tvmopt.passes import pipeline
from tvmopt.tuning import extract, inputs, space, workload

TARGET = targets.get("x86/cascadelake")


@pytest.fixture(scope="module")
def model():
    return pipeline.run(frontend.load(INT8_MODEL))


def test_tasks_of_models(model):
    once = extract.extract([model], TARGET)
    assert {task.rule for task in once} <= {"x86_vnni", "generic"}
    assert any(task.name.startswith("conv 1x") for task in once)
    assert len({task.workload for task in once}) == len(once)
    twice = extract.extract([model, model], TARGET)
    assert [(t.workload, t.weight) for t in twice] == [(t.workload, 2 * t.weight) for t in once]


def test_constants_of_large_models_are_cold(model, monkeypatch):
    assert not any(task.cold for task in extract.extract([model], TARGET))
    monkeypatch.setattr(extract, "CACHED_BYTES", 1000)
    large = {task.name: task for task in extract.extract([model], TARGET)}
    for name, task in large.items():
        read = [at for at, buffer in enumerate(inputs.buffers(task.func)) if not buffer.written]
        if name.startswith("conv"):
            assert task.cold == set(read[1:])  # the first one is the input
        assert {at for at, buffer in enumerate(inputs.buffers(task.func, task.cold)) if buffer.cold} == task.cold
    assert any(task.cold for task in large.values())


def test_compiling_looks_for_the_workloads_of_the_tasks(model):
    tasks = {(task.rule, task.workload): task for task in extract.extract([model], TARGET, threads=2)}
    asked = set()

    def decide(rule, func):
        key = rule, workload.digest(func)
        asked.add(key)
        return space.default(tasks[key]) if key in tasks else ()

    default, decided = lower(model, TARGET, 2), lower(model, TARGET, 2, decide=decide)
    assert tasks.keys() <= asked
    assert {gv.name_hint: f.script() for gv, f in default.mod.functions_items()} == {
        gv.name_hint: f.script() for gv, f in decided.mod.functions_items()
    }


def test_same_workload():
    one = kernels.convolution(TARGET)
    assert one.workload == kernels.convolution(TARGET, zero_points=(-7, 100)).workload
    for other in ({"size": 10}, {"kernel": 1}, {"padding": 0}, {"threads": 2}):
        assert one.workload != kernels.convolution(TARGET, **other).workload


def test_same_in_every_process():
    program = "from tests.tuning import kernels; from tvmopt import target; print(kernels.convolution("
    program += "target.get('x86/cascadelake')).workload)"
    there = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert there.stdout.strip() == kernels.convolution(TARGET).workload


def test_fingerprint():
    assert workload.fingerprint(TARGET).startswith("x86_64 cascadelake 64 +avx512bw,")
    prints = {name: workload.fingerprint(targets.get(name)) for name in ("arm/cortex-a53", "arm/cortex-a72")}
    assert len(set(prints.values())) == 2


def test_fingerprints_of_gpus():
    prints = [workload.fingerprint(targets.get(f"cuda/{arch}")) for arch in ("sm_75", "sm_80", "sm_90")]
    assert len(set(prints)) == 3
    assert workload.fingerprint(targets.get("x86/generic")) not in prints
