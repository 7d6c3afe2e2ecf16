"""ONNX's conformance suite run case by case; writes docs/coverage.md: ``python -m tests.onnx_coverage``.

Cases run in processes of their own, so that one which ends its process is a line in the table.
"""

from __future__ import annotations

import json
import os
import re
import select
import subprocess
import sys
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from queue import Empty, Queue
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "docs" / "coverage.md"
KINDS = ("node", "simple", "pytorch-converted", "pytorch-operator")
LIMIT_SECONDS = 120


@dataclass(frozen=True)
class Result:
    """How one case went.

    status : passed; refused (a TvmoptError, before anything ran); differs (wrong numbers); failed (any other
             exception); crashed (the process ended, or never did).
    reason : the error's message.
    """

    status: str
    reason: str = ""


@cache
def cases() -> dict[str, Any]:
    """All cases of the installed onnx package that need no download, by name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.loader import load_model_tests

        found = [case for kind in KINDS for case in load_model_tests(kind=kind)]
    return {case.name: case for case in found}


def run(case: Any) -> Result:
    """Run one case in this process, and judge it as ONNX's own runner does."""
    import onnx

    model = case.model or onnx.load(Path(case.model_dir) / "model.onnx")
    data = list(_data(case, model))
    result = _judge(case, model, data)
    # What is refused because shapes, axes or sizes are inputs is tried as models have it: with constants.
    while (names := set(_WANTED.findall(result.reason)) & {value.name for value in model.graph.input}) and data:
        model, data = _bound(model, data[0], names)
        result = _judge(case, model, data)
    return result


_WANTED = re.compile(r"'([^' ]+)'(?=[^():]* is a constant[):])")


def _bound(model: Any, data: tuple[list[Any], list[Any]], names: set[str]) -> tuple[Any, list[Any]]:
    """The model with these inputs as initializers, and the data that are left."""
    from tvmopt.frontend.constants import fixed

    given = list(zip(model.graph.input, data[0], strict=False))
    values = {value.name: array for value, array in given if value.name in names}
    return fixed(model, values), [([array for value, array in given if value.name not in names], data[1])]


def _judge(case: Any, model: Any, data: list[tuple[list[Any], list[Any]]]) -> Result:
    from onnx.backend.test.runner import Runner

    from tvmopt import onnx_backend
    from tvmopt.errors import TvmoptError

    try:
        compiled = onnx_backend.prepare(model)
    except TvmoptError as error:
        return Result("refused", f"{type(error).__name__}: {error}".replace("<memory>: ", ""))
    except Exception as error:
        return Result("failed", f"{type(error).__name__}: {error}".splitlines()[0])
    try:
        for inputs, wanted in data:
            Runner.assert_similar_outputs(wanted, compiled.run(inputs), case.rtol, case.atol)
    except AssertionError as error:
        return Result("differs", _difference(str(error)))
    except Exception as error:
        return Result("failed", f"{type(error).__name__}: {error}".splitlines()[0])
    return Result("passed")


def _difference(message: str) -> str:
    """How much, and by how much, in numpy's words."""
    found = re.findall(
        r"(?:Mismatched elements|Max absolute difference[^:]*|Max relative difference[^:]*): .*", message
    )
    return "; ".join(found) or " ".join(message.split())


def _data(case: Any, model: Any) -> Iterator[tuple[list[Any], list[Any]]]:
    """Inputs and outputs of a case, which keeps them in memory or in files."""
    import onnx
    from onnx import numpy_helper

    def array(value: Any) -> Any:
        return numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value

    if case.data_sets is not None:
        for inputs, outputs in case.data_sets:
            yield [array(value) for value in inputs], [array(value) for value in outputs]
        return
    for folder in sorted(Path(case.model_dir).glob("test_data_set_*")):
        parts = []
        for stem in ("input", "output"):
            files = sorted(folder.glob(f"{stem}_*.pb"), key=lambda path: int(re.findall(r"\d+", path.stem)[-1]))
            parts.append([array(onnx.TensorProto.FromString(path.read_bytes())) for path in files])
        yield parts[0], parts[1]


def run_all(names: Iterable[str], workers: int) -> dict[str, Result]:
    """Run cases in ``workers`` processes, each of which is replaced when a case ends it."""
    queue: Queue[str] = Queue()
    for name in names:
        queue.put(name)
    results: dict[str, Result] = {}

    def work() -> None:
        process = None
        while True:
            try:
                name = queue.get_nowait()
            except Empty:
                break
            process = process or _Process()
            results[name] = process.run(name)
            if results[name].status == "crashed":
                process.end()
                process = None
        if process is not None:
            process.end()

    with ThreadPoolExecutor(workers) as pool:
        for done in [pool.submit(work) for _ in range(workers)]:
            done.result()
    return results


class _Process:
    """A process that is told names of cases and tells their results, one line each."""

    def __init__(self) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "tests.onnx_coverage", "--worker"]
        self._process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )

    def run(self, name: str) -> Result:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(name.encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return Result("crashed", "the process could not be started")
        ready, _, _ = select.select([self._process.stdout], [], [], LIMIT_SECONDS)
        line = self._process.stdout.readline() if ready else b""
        if line:
            return Result(**json.loads(line))
        if ready:
            return Result("crashed", f"the process ended with code {self._process.wait()}")
        return Result("crashed", f"no result within {LIMIT_SECONDS} seconds")

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()


def _worker() -> None:
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no result
    for line in sys.stdin:
        json.dump(asdict(run(cases()[line.strip()])), out)
        out.write("\n")
        out.flush()


def write(results: dict[str, Result]) -> str:
    """The table, as Markdown."""
    import onnx

    groups: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for name, result in results.items():
        groups[operator(name)][result.status] += 1
    total = {status: sum(group[status] for group in groups.values()) for status in STATUSES}
    lines = [
        "# Coverage of ONNX",
        "",
        f"What ONNX's conformance suite (`onnx.backend.test` of onnx {onnx.__version__}) says of",
        "`tvmopt.onnx_backend`, compiled for the host. Written by `python -m tests.onnx_coverage`, checked by a test.",
        "",
        "Refused means: one clear error, before anything ran. Shapes, axes and sizes, which a compiled model has to",
        "know, are inputs of many cases; where they are refused as such, they are made constants, as in models.",
        "Differs means: numbers outside of the suite's tolerance.",
        "",
        ", ".join(f"{count} {status}" for status, count in total.items() if count) + ".",
        "",
        "| operator | " + " | ".join(STATUSES) + " |",
        "|---|" + "---:|" * len(STATUSES),
    ]
    for group, counts in sorted(groups.items(), key=lambda item: item[0].lower()):
        lines.append(f"| {group} | " + " | ".join(str(counts[status] or "") for status in STATUSES) + " |")
    lines += ["", "## Cases that did not pass", "", "| case | result | reason |", "|---|---|---|"]
    for name, result in sorted(results.items()):
        if result.status != "passed":
            lines.append(f"| {name} | {result.status} | {result.reason.replace('|', chr(92) + '|')} |")
    return "\n".join(lines) + "\n"


STATUSES = ("passed", "refused", "differs", "failed", "crashed")


def operator(name: str) -> str:
    """What a case is about: its operator, or the kind of models it belongs to."""
    case = cases()[name]
    if case.kind != "node":
        return f"({case.kind})"
    if name.endswith("_expanded"):
        return "(operators by their definition)"
    return case.model.graph.node[0].op_type if len(case.model.graph.node) == 1 else "(several operators)"


def read() -> dict[str, str]:
    """Status of every case that the table lists, which are those that did not pass."""
    rows = re.findall(r"^\| (test_\w+) \| (\w+) \|", TABLE.read_text(), re.MULTILINE)
    return dict(rows)


def main() -> None:
    if sys.argv[1:] == ["--worker"]:
        return _worker()
    results = run_all(sorted(cases()), workers=os.cpu_count() or 1)
    TABLE.parent.mkdir(exist_ok=True)
    TABLE.write_text(write(results))
    return None


if __name__ == "__main__":
    main()
