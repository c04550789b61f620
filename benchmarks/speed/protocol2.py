"""Protocol 2.0 on a GPU: judgements an hour, candidates a second, agreement with the CPU.

Functions are judged in 24 families of the full form, as many at once as fill the stacks of the GPU.
A full judgement trains 4,608 networks, and the time is scaled to these. The gated function is
judged alone, in all families, with fewer steps. Ranks are those of the OOD errors of 16 functions:
by the CPU, by the GPU in float32 and by the GPU with TF32 products.

``python benchmarks/speed/protocol2.py`` prints one JSON object. It needs torch, numba, scipy and
pydantic, but not DEAP. It takes at most eight minutes on 16 cores and an H200. Without a GPU the
CPU takes its place, and no ratio is measured; ``--quick`` has tiny networks.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from symact import zoo
from symact.cli.benchmark import Bench, dump
from symact.evaluation.cells import CellJudge
from symact.evaluation.function import Function, Trainable
from symact.evaluation.hierarchy import ood
from symact.evaluation.statistics import spearman
from symact.evaluation.training.networks import GPU_NETWORKS
from symact.evaluation.training.torch_mlp import has_cuda
from symact.expr import parse
from symact.tasks.families import population
from symact.tasks.protocol2 import FULL, PopulationForm
from symact.zoo.modules import module

sys.path.insert(0, str(Path(__file__).parent))
import _candidates

FUNCTIONS = (
    *("GELU", "SiLU", "Mish", "ReLU", "tanh", "ELU", "Softplus", "sin", "Softsign", "GELUSine"),
    *("GELU-Sinc-Perturbation", "GMTU", "SymAct-20", "SymAct-40", "SymAct-44", "CELU"),
)
GATED = "SwiGLU"
FAMILIES = 24
#: Networks of a judgement by the full form, at all learning rates.
WHOLE = FULL.families * FULL.cells * len(FULL.rates)


def measure(bench: Bench) -> None:
    device = "cuda" if has_cuda() else "cpu"
    form = replace(FULL, families=FAMILIES)
    if bench.quick:
        form = replace(form, families=2, width=4, steps=3, points=16, judged_points=16)
    functions = [zoo.find(name).expr for name in FUNCTIONS]
    _throughput(bench, form, functions, device)
    _full_training(bench, device)
    _agreement(bench, form, functions, device)


def _throughput(
    bench: Bench, form: PopulationForm, functions: Sequence[Function], device: str
) -> None:
    """Measure judgements an hour, of many pointwise functions at once, of one, and of a gated."""
    one_rate = replace(form, rates=form.rates[1:2])
    copies = 1 if bench.quick else max(1, GPU_NETWORKS // (form.families * len(functions)))
    judge = CellJudge(population("test", form.families), one_rate, device=device)
    judge.judge(functions[:1])  # compiles kernels
    hourly = _hourly(judge, [*functions] * copies)
    bench.row(f"{len(functions) * copies} pointwise functions at once", **{"judgements/h": hourly})
    bench.ratio("full_judgements_an_hour", hourly if device == "cuda" else None, least=600.0)
    alone = _hourly(judge, functions[1:2])
    bench.row(f"one pointwise function, {form.families} families", **{"judgements/h": alone})
    families, steps = (2, 2) if bench.quick else (FULL.families, FULL.steps // 6)
    short = replace(one_rate, families=families, steps=steps)
    judge = CellJudge(population("test", families), short, device=device)
    gated = _hourly(judge, [_gated()]) * steps / FULL.steps
    bench.row(f"one gated function, {families} families", **{"judgements/h": gated})


def _hourly(judge: CellJudge, functions: Sequence[Function]) -> float:
    """Return judgements an hour, scaled by the number of networks."""
    start = time.perf_counter()
    judge.judge(functions)
    networks = len(functions) * len(judge.families) * judge.form.cells * len(judge.form.rates)
    return 3600.0 * networks / WHOLE / (time.perf_counter() - start)


def _gated() -> Trainable:
    known = zoo.find(GATED)

    def build(networks: int, seed: int) -> torch.nn.Module:
        return module(known, shape=(networks, 1, 1), dim=-2, axes=(-2, -1), seed=seed)

    return Trainable(known.name, build, *known.units)


def _full_training(bench: Bench, device: str) -> None:
    count, steps = (1, 2) if bench.quick else (GPU_NETWORKS // _candidates.NETWORKS, 1000)
    trainer = _candidates.trainer(device, steps)
    rate = 1.0 / _candidates.seconds(trainer, parse("gelu(x)"), count)
    bench.row("full training, 24 networks of 2x64, 512 points, gelu", **{"candidates/s": rate})
    bench.ratio("full_trainings_a_second", rate if device == "cuda" else None, least=50.0)


def _agreement(
    bench: Bench, form: PopulationForm, functions: Sequence[Function], device: str
) -> None:
    """Compare the ranks of functions by the CPU, by the device, and with TF32."""
    task = population("test", form.families)
    judge = CellJudge(task, form, device=device)
    found = {"device": _scores(bench, "device, float32", judge, functions)}
    with tf32():
        found["tf32"] = _scores(bench, "device, TF32", judge, functions)
    found["cpu"] = _scores(bench, "CPU", CellJudge(task, form, device="cpu"), functions)
    for name, first, second in (
        ("ranks_of_device_and_cpu", "device", "cpu"),
        ("ranks_with_tf32_and_cpu", "tf32", "cpu"),
        ("ranks_with_and_without_tf32", "tf32", "device"),
    ):
        largest = float(np.abs(found[first] - found[second]).max())
        bench.row(name, **{"largest difference of log10": largest})
        value = spearman(found[first], found[second]) if device == "cuda" else None
        bench.ratio(name, value, least=0.99)


def _scores(
    bench: Bench, name: str, judge: CellJudge, functions: Sequence[Function]
) -> NDArray[np.float64]:
    """Return log10 of the OOD error of each function, a mean over families and cells."""
    start = time.perf_counter()
    judged = judge.judge(functions)
    bench.row(f"{len(functions)} functions, {name}", seconds=time.perf_counter() - start)
    return np.array([ood(own.errors).mean() for own in judged])


@contextlib.contextmanager
def tf32() -> Iterator[None]:
    """Let products on CUDA use TF32 in a ``with`` block."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


if __name__ == "__main__":
    report = Bench(quick="--quick" in sys.argv)
    report.say = lambda _: print(json.dumps(report.rows[-1]), file=sys.stderr, flush=True)
    measure(report)
    print(dump(report))
