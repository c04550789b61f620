"""The command line: arguments in, text out. Everything it does is a library call."""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from symact import __version__
from symact.errors import SymactError

if TYPE_CHECKING:
    from symact.engine import Progress
    from symact.engine.result import Result
    from symact.reporting.table import Comparison
    from symact.zoo import Known

#: What the system refuses for reasons that are not ours: full disks, permissions, broken media.
_SURROUNDINGS = {
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO,
}  # fmt: skip

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Search activation functions that generalise out of distribution.",
)
grammar_app = typer.Typer(no_args_is_help=True, help="List or check grammars.")
app.add_typer(grammar_app, name="grammar")

Seeds = Annotated[
    int | None, typer.Option(min=1, help="Training seeds of each test instance; the protocol's.")
]
PerFamily = Annotated[
    int | None, typer.Option(min=1, help="Test instances of each task family; the protocol's.")
]
JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Device = Annotated[
    str | None, typer.Option(help="cpu or cuda for full training; the best there is if not given.")
]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Candidates trained at once; the number of cores.")
]
Executor = Annotated[
    str | None,
    typer.Option(help="Who trains: threads (default), or processes, which a candidate may end."),
]
Ray = Annotated[
    str | None,
    typer.Option(help="Train on a Ray cluster: its address, or auto for one on this machine."),
]


def main() -> None:
    """Run the command line; a user's mistake is one line and exit status 2."""
    command = typer.main.get_command(app)
    over = _insist_on_interrupts()
    try:
        status = command.main(standalone_mode=False)
        sys.stdout.flush()
    except SymactError as error:
        _quit(f"symact: {error}", 2)
    except KeyboardInterrupt:
        over.set()
        _quit("symact: interrupted", 130)
    except BrokenPipeError:
        # The reader of a pipe has gone; Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        if error.errno not in _SURROUNDINGS:
            raise
        _quit(f"symact: {error.filename or 'output'}: {error.strerror}", 2)
    except Exception as error:
        # typer brings its own copy of click in some versions, so its errors are known by what
        # they can do. Anything else is a bug and keeps its traceback.
        if type(error).__name__ == "Abort":
            _quit("symact: interrupted", 130)
        if not hasattr(error, "format_message"):
            raise
        message = " ".join(str(error.format_message()).split())
        if type(error).__name__ == "NoArgsIsHelpError":
            print(error.format_message())
            sys.exit(2)
        _quit(f"symact: {message}", 2)
    sys.exit(status if isinstance(status, int) else 0)


def _insist_on_interrupts() -> threading.Event:
    """Repeat a Ctrl-C every few seconds until it takes effect.

    Python drops an exception that is raised inside a destructor or a callback, and some libraries
    catch everything; a search would go on as if nobody had asked it to stop.

    Returns:
        What to set when the interrupt has arrived.
    """
    over = threading.Event()

    def repeat() -> None:
        while not over.wait(4):
            os.kill(os.getpid(), signal.SIGINT)

    def interrupt(signum: int, frame: FrameType | None) -> None:
        if not any(thread.name == "interrupts" for thread in threading.enumerate()):
            threading.Thread(target=repeat, name="interrupts", daemon=True).start()
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    return over


def _quit(line: str, status: int) -> NoReturn:
    print(_on_a_line(line), file=sys.stderr)
    sys.exit(status)


def _on_a_line(text: str) -> str:
    """Return a text without line breaks and what else steers a terminal: it may be somebody's."""
    return "".join(c if c.isprintable() else " " for c in text)


def _version(value: bool) -> None:
    if value:
        print(f"symact {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
def search(
    grammar: Annotated[str, typer.Option(help="A packaged grammar or a TOML file.")] = "pointwise",
    task: Annotated[str, typer.Option(help="A task; see 'symact doctor'.")] = "ood-suite",
    budget: Annotated[
        str, typer.Option(help="A time (5m, 90s) or judged candidates (500).")
    ] = "5m",
    seed: Annotated[int, typer.Option(min=0, help="Of proposals and search draws.")] = 0,
    out: Annotated[Path | None, typer.Option(help="The run directory to make.")] = None,
    proposer: Annotated[
        str, typer.Option(help="gp, random, enumerate, replay:FILE or exec:'COMMAND'.")
    ] = "gp",
    judge: Annotated[
        bool, typer.Option("--compare/--no-compare", help="Judge on the test draws at the end.")
    ] = True,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", help="A size or switch, such as islands=1 or tune=no; repeatable."),
    ] = None,
    device: Device = None,
    workers: Workers = None,
    executor: Executor = None,
    ray: Ray = None,
) -> None:
    """Search, judge and report."""
    from symact import engine
    from symact.engine.settings import settings

    plan, evolution = settings(changes or ())
    folder = out or _new_folder(grammar, task, seed)
    try:
        with _Reporter(folder) as reporter:
            result = engine.search(
                grammar,
                task,
                budget=budget,
                seed=seed,
                out=folder,
                proposer=proposer,
                plan=plan,
                evolution=evolution,
                device=device,
                threads=workers,
                executor=_executor(executor, ray),
                on_progress=reporter,
            )
    except SymactError:
        if out is None:
            with contextlib.suppress(OSError):  # something is in it by now
                folder.rmdir()
        raise
    _conclude(result, judge, _own_device(device, executor, ray))


@app.command()
def resume(
    run: Annotated[Path, typer.Argument(help="A run directory.")],
    budget: Annotated[str | None, typer.Option(help="A new total budget.")] = None,
    proposer: Annotated[
        str | None, typer.Option(help="The exec:'COMMAND' that the run was begun with.")
    ] = None,
    judge: Annotated[
        bool, typer.Option("--compare/--no-compare", help="Judge on the test draws at the end.")
    ] = True,
    device: Device = None,
    workers: Workers = None,
    executor: Executor = None,
    ray: Ray = None,
) -> None:
    """Go on with a run that was interrupted, or extend one."""
    from symact import engine

    with _Reporter(run) as reporter:
        result = engine.resume(
            run,
            budget=budget,
            proposer=proposer,
            device=device,
            threads=workers,
            executor=_executor(executor, ray),
            on_progress=reporter,
        )
    _conclude(result, judge, _own_device(device, executor, ray))


def _own_device(device: str | None, executor: str | None, ray: str | None) -> str | None:
    """Return where this machine judges: the device asked for, unless that is a cluster's."""
    return None if _executor(executor, ray).startswith("ray") else device


def _executor(executor: str | None, ray: str | None) -> str:
    if ray is None:
        return executor or "threads"
    if executor is not None and executor.partition(":")[0] != "ray":
        raise SymactError(f"--ray {ray} and --executor {executor} cannot be combined")
    return f"ray:{ray}"


@app.command()
def show(
    run: Annotated[Path, typer.Argument(help="A run directory.")],
    as_json: JsonFlag = False,
) -> None:
    """Print what a run found."""
    from symact.engine.result import load

    result = load(run)
    if as_json:
        print(json.dumps(result.to_json(), indent=1))
        return
    _print_run(result)


@app.command()
def compare(
    items: Annotated[
        list[str] | None,
        typer.Argument(
            help="Run directories, zoo names, formulas, programs; beside runs alone the usual "
            "functions.",
        ),
    ] = None,
    as_json: JsonFlag = False,
    quick: Annotated[bool, typer.Option("--quick", help="The short form of the protocol.")] = False,
    curves: Annotated[
        bool, typer.Option("--curves", help="Best so far over judged candidates, of runs only.")
    ] = False,
    task: Annotated[str | None, typer.Option(help="A task; the first run's if not given.")] = None,
    per_family: PerFamily = None,
    seeds: Seeds = None,
    best: Annotated[int, typer.Option(min=1, help="Functions of each run.")] = 3,
    out: Annotated[
        Path | None, typer.Option(help="Where to write; the first run, else runs/compare.")
    ] = None,
    device: Device = None,
) -> None:
    """Judge functions by one protocol on the test draws."""
    from symact.engine.result import load
    from symact.reporting.comparison import compare as judge
    from symact.reporting.comparison import write_report
    from symact.reporting.table import to_json
    from symact.storage.database import is_run

    if curves:
        _print_curves(items or [], out, as_json)
        return
    runs = [load(item) for item in items or () if is_run(item)]
    folder = out or (runs[0].path if runs else None) or Path("runs/compare")
    comparison = judge(
        *(items or ()),
        task=task,
        form="quick" if quick else "full",
        per_family=per_family,
        seeds=seeds,
        best=best,
        device=device,
        out=folder,
        on_step=None if as_json else _say_step,
    )
    paths = write_report(runs, comparison, folder)
    if as_json:
        print(json.dumps(to_json(comparison), indent=1))
        return
    _print_comparison(comparison)
    print(f"\nreport: {paths['html']}")


@app.command()
def zoo(
    name: Annotated[str | None, typer.Argument(help="A function's name.")] = None,
    seeds: Annotated[bool, typer.Option(help="Only those of the founding papers.")] = False,
    like: Annotated[
        str | None, typer.Option(help="A formula: is it known, up to scaling and sign?")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the function and its derivative, .svg or .png.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """List the known activation functions, or say what is known of one."""
    from symact import zoo as functions
    from symact.expr.cost import flops

    if like is not None:
        from symact.zoo.recognise import recognise

        found = recognise(functions.function(like)[1])
        answer = {"formula": like, "known": None if found is None else str(found)}
        print(json.dumps(answer) if as_json else answer["known"] or "not in the zoo")
        return
    if name is None:
        chosen = [known for known in functions.catalogue() if known.seed or not seeds]
        if as_json:
            print(json.dumps([_known_json(known) for known in chosen], indent=1))
            return
        width = max(len(known.name) for known in chosen)
        kinds = max(len(known.kind) for known in chosen)
        for known in chosen:
            cost = f"{flops(known.expr):4d}" if known.formula else "   -"
            print(f"{known.name:{width}}  {known.kind:{kinds}}  {cost} FLOPs  {known.text}")
        return
    known = functions.find(name)
    if plot is not None:
        from symact.reporting.comparison import draw_function

        draw_function(known.name, known.expr, plot)
    if as_json:
        print(json.dumps(_known_json(known), indent=1))
        return
    print(known.name)
    for key, value in _facts(known).items():
        if value:
            print(f"  {key:10}  {value}")
    if known.formula is not None and not known.statistics:
        from symact.reporting.text_plot import text_plot

        print("\n" + text_plot(known.expr))
    if plot is not None:
        print(f"\ndrawn: {plot}")


def _facts(known: Known) -> dict[str, str]:
    """Say what is known of a function; what can be computed is computed."""
    from symact.backends import to_latex
    from symact.expr.cost import flops

    facts = {"kind": known.kind}
    if known.formula is not None:
        facts |= {
            "formula": known.formula,
            "LaTeX": to_latex(known.expr),
            "FLOPs": str(flops(known.expr)),
        }
    else:
        facts["does"] = known.text
    if known.parametric is not None:
        facts["in full"] = known.parametric
    facts["parameters"] = ", ".join(
        f"{name} = {value:g}{' (trained)' if name in known.learnable else ''}"
        for name, value in known.parameters.items()
    )
    if known.formula is not None and not known.statistics:
        from symact.reporting.text_plot import behaviour

        facts |= behaviour(known.expr)
    return facts | {
        "reads": "mean or deviation of the whole tensor" if known.statistics else "",
        "also": ", ".join(known.aliases),
        "source": known.source,
        "certainty": known.confidence,
        "note": known.note,
    }


def _known_json(known: Known) -> dict[str, Any]:
    from dataclasses import asdict

    return {**asdict(known)}


@app.command("import")
def import_(
    paths: Annotated[list[Path], typer.Argument(help="Programs, or result folders.")],
    entry: Annotated[str | None, typer.Option(help="The function's name in each program.")] = None,
    minimize: Annotated[
        bool, typer.Option("--minimize/--maximize", help="Whether reported scores are errors.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Write the records, JSON lines.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Turn programs of other systems into formulas, without running them."""
    from dataclasses import asdict

    from symact.importers import write_records
    from symact.importers._read import read_with_summary, refusals

    records = []
    for path in paths:
        found, summary = read_with_summary(path, entry=entry, minimize=minimize)
        if len(found) == 1 and found[0].formula is None and path.is_file():
            raise SymactError(f"{path}: {found[0].refusal}")
        records += found
        gone = "" if summary.unobserved is None else f", {summary.unobserved} iterations unobserved"
        print(
            f"{path}: {summary.programs} programs, {summary.understood} understood, "
            f"{summary.copies} copies and {summary.invalid} invalid ones left out{gone}",
            file=sys.stderr,
        )
    if out is not None:
        write_records(records, out)
    if as_json:
        print(json.dumps([asdict(one) for one in records], indent=1))
        return
    width = max(len(one.name) for one in records)
    for one in records:
        score = f"{one.score:10.4g}" if one.score is not None else f"{'-':>10}"
        print(f"{one.name:{width}} {score}  {one.kind:10}  {one.formula or one.refusal}")
    for reason, count in refusals(records):
        print(f"refused {count}: {reason}", file=sys.stderr)


@app.command("enumerate")
def enumerate_(
    grammar: Annotated[str, typer.Argument(help="A packaged grammar or a TOML file.")],
    nodes: Annotated[int | None, typer.Option(min=1, help="The largest size.")] = None,
    depth: Annotated[
        int | None, typer.Option(min=1, help="Nested productions; 2 is one core unit of 'swish'.")
    ] = None,
    limit: Annotated[
        int, typer.Option(min=1, help="Distinct expressions to keep in memory.")
    ] = 500_000,
    constant: Annotated[
        list[float] | None, typer.Option(help="A literal; may be repeated. Instead of the usual.")
    ] = None,
    find: Annotated[
        list[str] | None, typer.Option(help="A zoo name or formula to place; may be repeated.")
    ] = None,
    first: Annotated[int, typer.Option(min=0, help="Sentences to print.")] = 20,
    scaled: Annotated[
        bool, typer.Option("--up-to-scale", help="Print none that is another one scaled.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """List the smallest sentences of a grammar, each function once."""
    from symact import zoo as functions
    from symact.grammar import enumeration

    wanted = [functions.function(text) for text in find or []]
    found = enumeration.enumerate_grammar(
        grammar, nodes=nodes, depth=depth, limit=limit, constants=constant or None
    )
    report = enumeration.report(found, wanted, first=first, scaled=scaled)
    print(json.dumps(report, indent=1) if as_json else enumeration.to_text(report))


@app.command()
def correct(
    function: Annotated[str, typer.Argument(help="A zoo name or a formula.")],
    eps: Annotated[float, typer.Option(help="The factor; negative to lower the entropy.")] = 0.01,
    form: Annotated[
        str | None, typer.Option(help="inverse or held; the first that applies if not given.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Derive a correction of a function by the entropy of its output."""
    from symact import zoo as functions
    from symact.zoo import entropy_correction as correction

    name, expr = functions.function(function)
    found = correction.correct(expr, eps=eps, form=form)
    if as_json:
        print(json.dumps(correction.to_json(found, name), indent=1))
    else:
        print(correction.to_text(found, name))


@grammar_app.command("list")
def grammar_list() -> None:
    """List the packaged grammars."""
    from symact.grammar import Grammar, grammar_names

    for name in grammar_names():
        print(f"{name:12} {Grammar.load(name).description}")


@grammar_app.command("check")
def grammar_check(
    file: Annotated[str, typer.Argument(help="A TOML file or a packaged name.")],
) -> None:
    """Check a grammar and print some of its sentences."""
    from symact.grammar import Grammar
    from symact.proposers import RandomProposer

    grammar = Grammar.load(file)
    limits = grammar.limits
    print(
        f"{grammar.name}: {len(grammar.productions)} typed productions, at most {limits.nodes} "
        f"nodes, depth {limits.depth}, {limits.flops} FLOPs; some sentences:"
    )
    for proposal in RandomProposer(grammar, seed=0).ask(8):
        print(f"  {proposal.expr}")


@app.command()
def doctor(
    run: Annotated[Path | None, typer.Argument(help="A run directory to check.")] = None,
    task: Annotated[str, typer.Option(help="The task to examine.")] = "ood-suite",
    as_json: JsonFlag = False,
) -> None:
    """Check a run and save what can be read of a damaged one, or say if a task is worth searching.

    Exit status 1 for a damaged run. The run itself is never changed.
    """
    from dataclasses import asdict

    if run is not None:
        _examine_run(run, as_json)
        return
    from symact.evaluation.diagnosis import diagnose_task as examine
    from symact.tasks import describe
    from symact.tasks import task as built_in

    gate = examine(built_in(task))
    if as_json:
        print(json.dumps(asdict(gate), indent=1))
        return
    print(f"{task}: {describe(task)}\n")
    families = sorted(gate.entries[0].families)
    columns = "".join(f"{family:>12}" for family in families) if len(families) > 1 else ""
    print(f"{'function':10}{'OOD':>10}{'ID':>10}{columns}")
    for entry in gate.entries:
        own = "".join(f"{entry.families[f]:12.3g}" for f in families) if columns else ""
        print(f"{entry.name:10}{entry.ood:10.3g}{entry.id_error:10.3g}{own}")
    print()
    for warning in gate.warnings:
        print(f"warning: {warning}")
    if not gate.warnings:
        print("worth searching: no warning")


def _examine_run(run: Path, as_json: bool) -> None:
    from dataclasses import asdict

    from symact.storage.recovery import examine_run

    found = examine_run(run)
    if as_json:
        print(json.dumps(asdict(found), indent=1, default=str))
    else:
        print(f"{run}: {'damaged: ' + found.problem if found.problem else 'sound'}")
        held = ", ".join(f"{count} {table}" for table, count in found.rows.items() if count)
        print(f"whole rows: {held or 'none'}")
        if found.lost:
            print(f"lost: {found.lost}; it can be shown, not continued")
        if found.saved is not None:
            verb = "show" if found.lost else "resume"
            print(f"saved in {found.saved}; go on with: symact {verb} {found.saved}")
    if found.problem:
        raise typer.Exit(1)


@app.command()
def batch(
    jobs: Annotated[Path, typer.Argument(help="A TOML file of jobs.")],
    device: Device = None,
    workers: Workers = None,
    executor: Executor = None,
    ray: Ray = None,
) -> None:
    """Run many searches without a terminal; exit status 1 if any failed."""
    from symact.cli.batch import load_batch, run_batch

    loaded = load_batch(jobs)
    failed = run_batch(
        loaded,
        lambda line: print(line, flush=True),
        threads=workers,
        device=device,
        executor=_executor(executor, ray),
    )
    done = len(loaded.jobs) - failed
    print(f"{done} of {len(loaded.jobs)} jobs done, {failed} failed; see {loaded.out}", flush=True)
    if failed:
        raise typer.Exit(1)


@app.command()
def bench(
    name: Annotated[
        str,
        typer.Argument(
            help="evaluator, mini, full, ladder, activation, proposer, driver, workers or order."
        ),
    ],
    quick: Annotated[bool, typer.Option(help="End within 45 s; rougher figures.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Measure speed on this machine, side by side with what one would use instead."""
    from symact.cli import bench as benchmarks

    def say(line: str) -> None:
        print(f"measured: {line}", file=sys.stderr, flush=True)

    measured = benchmarks.run(name, quick=quick, say=say)
    print(benchmarks.dump(measured) if as_json else measured.to_text(), end="\n" if as_json else "")


def _new_folder(grammar: str, task: str, seed: int) -> Path:
    """Make the first directory below ``runs`` that is not taken; of two searches each gets one."""
    stem = f"{Path(grammar).stem}-{task}-{seed}"
    for number in itertools.count(1):
        folder = Path("runs") / (stem if number == 1 else f"{stem}-{number}")
        with contextlib.suppress(FileExistsError):
            folder.mkdir(parents=True)
            break
    return folder


class _Reporter:
    """Shows progress: a live bar on a terminal, plain lines elsewhere."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bar: Any = None
        self.task: Any = None
        self.last = ""
        self.shown_at = 0.0

    def __enter__(self) -> _Reporter:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

            self.bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                TextColumn("{task.percentage:3.0f}%"),
                TimeElapsedColumn(),
                TextColumn("{task.fields[status]}"),
                console=Console(stderr=True),
            )
            self.bar.start()
            self.task = self.bar.add_task("starting", total=1.0, status="")
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self.bar is not None:
            self.bar.stop()
        if kind is KeyboardInterrupt:
            print(f"\nstopped; go on with: symact resume {self.folder}", file=sys.stderr)

    def __call__(self, progress: Progress) -> None:
        import time

        if progress.message:
            self._print(progress.message)
            return
        status = _status(progress)
        if self.bar is not None:
            self.bar.update(
                self.task,
                description=progress.phase,
                completed=progress.fraction,
                status=status,
            )
            return
        now = time.monotonic()
        if now - self.shown_at >= 10 or progress.phase != self.last:
            print(
                f"{progress.phase} {progress.fraction:4.0%} {status}", file=sys.stderr, flush=True
            )
            self.shown_at, self.last = now, progress.phase

    def _print(self, line: str) -> None:
        if self.bar is not None:
            self.bar.console.print(line, markup=False, highlight=False)
        else:
            print(line, file=sys.stderr, flush=True)


def _status(progress: Progress) -> str:
    """Counts, rate, time left and the best so far."""
    counts = progress.counts
    parts = [f"{counts['seen']} seen, {counts['mini']} mini, {counts['full']} full"]
    if progress.seconds > 0 and counts["screened"]:
        parts.append(f"{counts['screened'] / progress.seconds:.1f}/s")
    if 0 < progress.fraction < 1:
        left = progress.seconds * (1 - progress.fraction) / progress.fraction
        parts.append(f"{left:.0f} s left")
    if progress.ratio is not None:
        parts.append(f"best {progress.ratio:.2f} of GELU: {progress.best}")
    return " | ".join(parts)


def _conclude(result: Result, judge: bool, device: str | None) -> None:
    """Print the run and, if asked, judge it on the test draws and write the report."""
    _print_run(result)
    if not judge or result.path is None:
        return
    from symact.reporting.comparison import compare as run_comparison
    from symact.reporting.comparison import write_report

    print("\nJudging on the test draws, which the search never saw (quick form).", flush=True)
    comparison = run_comparison(result, form="quick", device=device, on_step=_say_step)
    paths = write_report(result, comparison, result.path)
    _print_comparison(comparison)
    print(f"\nreport: {paths['html']}; by the whole protocol: symact compare {result.path}")


def _say_step(done: int, total: int, name: str) -> None:
    print(f"training {done + 1}/{total}: {name}", file=sys.stderr, flush=True)


#: Candidates in quarantine that are named one by one.
_SHOWN_FAILURES = 5


def _print_run(result: Result) -> None:
    counts = result.counts
    screened_out = counts["seen"] - counts["screened"]
    print(
        f"\n{counts['seen']} candidates seen, {screened_out} screened out, "
        f"{counts['mini']} mini-trained, {counts['full']} fully trained"
    )
    for failed in result.quarantined[:_SHOWN_FAILURES]:
        print(
            f"#{failed['id']} counts as diverged ({failed['rung']}): {_on_a_line(failed['reason'])}"
        )
    if len(result.quarantined) > _SHOWN_FAILURES:
        print(f"and {len(result.quarantined) - _SHOWN_FAILURES} more; show --json lists them")
    agreement = ", ".join(
        f"{rungs} {'-' if value is None else f'{value:.2f}'}"
        for rungs, value in result.rung_spearman.items()
    )
    print(f"Spearman between rungs: {agreement}")
    total = sum(cost["seconds"] for cost in result.costs.values())
    if total:
        shares = ", ".join(
            f"{part} {cost['seconds'] / total:.0%}"
            + (
                f" ({cost['seconds'] / cost['candidates'] * 1e3:.3g} ms each)"
                if cost["candidates"]
                else ""
            )
            for part, cost in result.costs.items()
        )
        print(f"Time: {shares}")
    if not result.finished:
        print(f"not finished; go on with: symact resume {result.path}")
    if not result.front:
        return
    print("\nPareto front on the selection draws (GELU's errors last):")
    print(f"{'id':>6} {'OOD':>9} {'ID':>9} {'FLOPs':>6}  formula")
    for found in result.front:
        print(
            f"{found.id:6d} {found.ood:9.3g} {found.id_error:9.2e} {found.flops:6d}  "
            f"{found.formula}"
        )
    reference = result.reference
    if reference is not None:
        print(
            f"{'':6} {reference.ood:9.3g} {reference.id_error:9.2e} {reference.flops:6d}  "
            f"{reference.formula}"
        )
    print(f"best: #{result.best.id}  {result.best.formula}")


def _print_curves(runs: list[str], out: Path | None, as_json: bool) -> None:
    from dataclasses import asdict

    from symact.reporting.curves import curves_report, to_text

    found, picture = curves_report(runs, out or Path("runs/curves"))
    print(json.dumps([asdict(one) for one in found], indent=1) if as_json else to_text(found))
    if not as_json:
        print(f"\nfigure: {picture}")


def _print_comparison(comparison: Comparison) -> None:
    from symact.reporting.table import to_text, what_was_trained

    print(
        f"\n{what_was_trained(comparison)}; ratio of OOD error to {comparison.reference} with its "
        "95% interval, p against it, skill against a linear model:\n"
    )
    print(to_text(comparison), end="")
