"""Cycles of layers on SCALE-Sim, a simulator of systolic arrays: run by a Python that has ``scalesim==3.0.0``.

SCALE-Sim needs numpy < 2.3, so it has an environment of its own:
``python -m venv scalesim && scalesim/bin/pip install "scalesim==3.0.0" "numpy<2.3"``.

Reads a JSON object on standard input, {"rows", "columns", "layers": [[height, width, down, across, channels, filters,
stride], ...]}, and writes [[total cycles, stall cycles], ...] as its last line.
Buffers are large enough not to matter, and SCALE-Sim chooses the bandwidth ("CALC").
"""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from scalesim.scale_sim import scalesim

CONFIG = """\
[general]
run_name = run

[architecture_presets]
ArrayHeight: {rows}
ArrayWidth: {columns}
IfmapSramSzkB: 8192
FilterSramSzkB: 8192
OfmapSramSzkB: 8192
IfmapOffset: 0
FilterOffset: 10000000
OfmapOffset: 20000000
Dataflow: ws
Bandwidth: 64
ReadRequestBuffer: 64
WriteRequestBuffer: 64
MemoryBanks: 1

[layout]
IfmapCustomLayout: False
IfmapSRAMBankBandwidth: 64
IfmapSRAMBankNum: 64
IfmapSRAMBankPort: 2
FilterCustomLayout: False
FilterSRAMBankBandwidth: 64
FilterSRAMBankNum: 64
FilterSRAMBankPort: 2

[sparsity]
SparsitySupport: false
SparseRep: ellpack_block
OptimizedMapping: false
BlockSize: 8
RandomNumberGeneratorSeed: 40

[run_presets]
InterfaceBandwidth: CALC
UseRamulatorTrace: False
"""
TOPOLOGY = "Layer, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides, Sparsity,\n"
# One line a layer, of as many fields as SCALE-Sim reads; no custom layout is used.
LAYOUT = "Layer name" + ", field" * 20 + ",\n"


def main() -> None:
    """Run SCALE-Sim on the layers of standard input."""
    asked = json.load(sys.stdin)
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "config.cfg").write_text(CONFIG.format(**asked))
        rows = [f"layer{i}, {', '.join(map(str, layer))}, 1:1,\n" for i, layer in enumerate(asked["layers"])]
        (folder / "topology.csv").write_text(TOPOLOGY + "".join(rows))
        (folder / "layout.csv").write_text(
            LAYOUT + "".join(f"layer{i}{', 1' * 20},\n" for i in range(len(asked["layers"])))
        )
        files = {
            part: str(folder / f"{part}.{'cfg' if part == 'config' else 'csv'}")
            for part in ("config", "topology", "layout")
        }
        run = scalesim(save_disk_space=True, verbose=False, input_type_gemm=False, **files)
        run.run_scale(top_path=str(folder))
        with (folder / "run" / "COMPUTE_REPORT.csv").open() as report:
            found = [[int(float(row[2])), int(float(row[3]))] for row in list(csv.reader(report))[1:]]
    print(json.dumps(found))


if __name__ == "__main__":
    main()
