"""Plots of benchmarks, as SVG files beside the text in docs/."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tvmopt.errors import DependencyError


def bars(path: Path, title: str, names: Sequence[str], series: Mapping[str, Sequence[float | None]]) -> None:
    """How many times faster, a group of bars for every name; None leaves a gap."""
    plt = _pyplot()
    figure, axes = plt.subplots(figsize=(max(6, 0.55 * len(names)), 4), layout="constrained")
    width = 0.8 / max(1, len(series))
    for at, (label, values) in enumerate(series.items()):
        places = [i - 0.4 + (at + 0.5) * width for i in range(len(names))]
        axes.bar(places, [value or 0 for value in values], width, label=label)
    axes.axhline(1, color="black", linewidth=0.8)
    axes.set(title=title, yscale="log", ylabel="times faster")
    axes.set_xticks(range(len(names)), names, rotation=60, ha="right")
    axes.legend()
    _save(figure, path)


def roofline(
    path: Path,
    title: str,
    points: Mapping[str, Sequence[tuple[float, float]]],
    peak: float,
    bandwidths: Mapping[str, float],
) -> None:
    """Layers under their roof.

    points     : label -> (MACs per byte, MACs per second).
    peak       : MACs per second; bandwidths : label -> bytes per second.
    """
    plt = _pyplot()
    figure, axes = plt.subplots(figsize=(8, 5), layout="constrained")
    for label, layers in points.items():
        axes.scatter(*zip(*layers, strict=True), s=12, label=label)
    ends = [0.5, max([peak / min(bandwidths.values()), *(x for layers in points.values() for x, _ in layers)]) * 2]
    axes.plot(ends, [peak, peak], color="black", linewidth=0.8)
    for label, bandwidth in bandwidths.items():
        axes.plot([ends[0], peak / bandwidth], [ends[0] * bandwidth, peak], "--", linewidth=0.8, label=label)
    axes.set(title=title, xscale="log", yscale="log", xlabel="MACs per byte", ylabel="MACs per second")
    axes.legend(fontsize="small")
    _save(figure, path)


def _pyplot():  # type: ignore[no-untyped-def]
    try:
        import matplotlib as mpl
    except ImportError:
        raise DependencyError("plots need matplotlib", hint="pip install 'tvmopt[bench]'") from None
    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "tvmopt"  # the same plot is the same file
    from matplotlib import pyplot

    return pyplot


def _save(figure, path: Path) -> None:  # type: ignore[no-untyped-def]
    figure.savefig(path, metadata={"Date": None})
