"""tvmopt tune, on this machine: from an ONNX file to records that compiling uses."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import onnx
import pytest
from click.testing import CliRunner, Result

from tests.report.models import residual
from tests.tuning.boards import KEY, Boards
from tvmopt.cli import main


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tune") / "residual.onnx"
    onnx.save(residual(), path)
    return path


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)


def test_tune_then_compile(model: Path, tmp_path: Path) -> None:
    records = tmp_path / "r.db"
    done = invoke("tune", model, model, "--records", records, "--budget", "12trials", "--json")
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    assert found.keys() >= {"trials", "failed", "best_us", "baseline_us", "seconds"}
    assert found["trials"] == 12
    assert 0 < found["best_us"] <= found["baseline_us"]
    assert "failures:" in done.stderr.splitlines()[-1]
    assert len((tmp_path / "r.log").read_text().splitlines()) >= 12
    assert "</html>" in (tmp_path / "r.html").read_text()
    listed = json.loads(invoke("records", "list", records, "--json").stdout)["tasks"]
    assert sum(task["trials"] for task in listed) == 12
    assert min(task["trials"] for task in listed) >= 1

    again = invoke("tune", model, "--records", records, "--budget", "1trials")
    assert again.exit_code == 0
    assert "1 trials in" in again.stdout
    assert f"tvmopt compile {model} -t host --records {records} -o OUT" in again.stdout

    verified = json.loads(invoke("verify", model, "--records", records, "--samples", "2", "--json").stdout)
    assert verified["max_lsb"] == 0
    compared = json.loads(invoke("bench", model, "--records", records, "--vs", "", "--json").stdout)
    assert compared["rows"][0]["status"] == "ok"


def test_tune_on_a_board(model: Path, tmp_path: Path) -> None:
    with closing(Boards([sys.executable])) as boards:
        boards.add()
        where = "--tracker", str(boards.tracker), "--key", KEY
        done = invoke("tune", model, "--records", tmp_path / "r.db", "--budget", "4trials", *where, "--json")
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    assert (found["trials"], found["failed"]) == (4, 0)
    assert found["best_us"] > 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--budget", "soon"], "'soon' is no budget"),
        (["--budget", "9trials", "-t", "arm/cortex-m4"], "arm/cortex-m4"),
        (["--budget", "9trials", "--tracker", "somewhere"], "tracker is 'somewhere', not HOST:PORT"),
        (["--budget", "9trials", "--tracker", "localhost:9"], "needs the key of the boards"),
        (["--budget", "9trials", "--tracker", "localhost:9", "--key", "a"], "no RPC tracker at localhost:9"),
        (["--budget", "9trials", "--page", "none/page.html"], "none/page.html: the page cannot be written"),
        (["--budget", "9trials", "--log", "none/log"], "the log cannot be written"),
        (["--budget", "9trials", "--records", "none/r.db"], "none/r.db: it cannot be opened"),
    ],
)
def test_one_line(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = invoke("tune", model, "--records", "r.db", *arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert says in done.stderr.splitlines()[-1]


def test_interrupted_on_a_terminal(model: Path, tmp_path: Path) -> None:
    log = tmp_path / "r.log"
    ours, theirs = pty.openpty()
    command = [
        sys.executable,
        "-m",
        "tvmopt",
        "tune",
        str(model),
        "--records",
        str(tmp_path / "r.db"),
        "--budget",
        "1h",
    ]
    running = subprocess.Popen(
        [*command, "--json"],
        stdout=subprocess.PIPE,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(
            signal.SIGINT, signal.SIG_DFL
        ),  # ignored in what a shell has in the background
    )
    os.close(theirs)
    while not (log.is_file() and len(log.read_text().splitlines()) > 5):
        assert running.poll() is None
        time.sleep(0.1)
    os.killpg(running.pid, signal.SIGINT)
    shown = b""
    try:
        while part := os.read(ours, 1 << 16):
            shown += part
    except OSError:  # the other end is closed
        os.close(ours)
    stdout, _ = running.communicate(timeout=60)
    assert running.returncode == 130
    assert json.loads(stdout)["interrupted"]
    assert b"Traceback" not in shown
    assert b"ranks" in shown
    listed = json.loads(invoke("records", "list", tmp_path / "r.db", "--json").stdout)["tasks"]
    assert sum(task["trials"] for task in listed) >= 5
