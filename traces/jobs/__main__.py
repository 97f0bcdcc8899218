"""The command line of `python -m traces.jobs`: check and fit published measurements of jobs, show a sequence.

python -m traces.jobs lint FOLDER
python -m traces.jobs fit FOLDER --out tpch.json
python -m traces.jobs show tpch/3
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from traces.commands import Parser, add_json_option, carried_out, exit_with, tell_line
from traces.files import write_aside
from traces.jobs.catalogue import job_sequences
from traces.jobs.fit import fit, log_mean
from traces.jobs.job import Job, JobError, Stage
from traces.jobs.sequence import JobSequence
from traces.jobs.tpch_files import QUERIES, SIZES, is_library, read_job, read_library
from traces.words import counted

PROG = "python -m traces.jobs"
ABOUT = "22 queries of TPC-H on Spark, 2 to 100 GB; fitted to the measurements published with Decima"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0, 1 when lint found faults, 2 when it could not be carried out."""
    args = _parser().parse_args(arguments)
    return carried_out(PROG, lambda: int(args.run(args)), (JobError,))


def _parser() -> Parser:
    parser = Parser(prog=PROG, description="Jobs of a cluster: check, fit, show.")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, dest="command")
    lint = commands.add_parser("lint", help="faults of published files; exit 1 if there are any")
    lint.add_argument("folder", type=Path, help="with 2g to 100g in it")
    lint.set_defaults(run=_lint)
    fitted = commands.add_parser("fit", help="fit the model of a family to published files")
    fitted.add_argument("folder", type=Path, help="with 2g to 100g in it")
    fitted.add_argument("--out", type=Path, required=True, metavar="FILE", help="the model's file")
    fitted.set_defaults(run=_fit)
    show = commands.add_parser("show", help="what is in sequences")
    show.add_argument("spec", help="tpch/3, tpch[0:48], FOLDER[1:13]")
    show.set_defaults(run=_show)
    for command in (lint, fitted, show):
        add_json_option(command)
    return parser


def _library_folder(folder: Path) -> Path:
    if not is_library(folder):
        raise JobError(f"{folder}: no folder of published jobs; there is no {SIZES[0]}/adj_mat_1.npy in it")
    return folder


def _lint(args: argparse.Namespace) -> int:
    faults = []
    folder = _library_folder(args.folder)
    for size in SIZES:
        for query in range(1, QUERIES + 1):
            try:
                read_job(folder / size, query)
            except JobError as error:
                faults.append(str(error))
    if args.json:
        print(json.dumps({"jobs": len(SIZES) * QUERIES, "faults": faults}))
    else:
        for fault in faults:
            tell_line(fault)
        tell_line(f"{counted(len(SIZES) * QUERIES, 'job')}, {counted(len(faults), 'fault')}")
    return int(bool(faults))


def _fit(args: argparse.Namespace) -> int:
    model = fit(read_library(_library_folder(args.folder)), "tpch", ABOUT)
    write_aside(args.out, json.dumps(model.to_json()) + "\n")
    tell_line(json.dumps({"out": str(args.out)}) if args.json else f"model: {args.out}")
    return 0


def figures_of(sequence: JobSequence) -> dict[str, float | str]:
    """What is in a sequence."""
    work = [job_work_s(job) for job in sequence.jobs]
    return {
        "name": sequence.name,
        "jobs": len(sequence),
        "stages_a_job": float(np.mean([len(job.stages) for job in sequence.jobs])),
        "tasks_a_job": float(np.mean([job.tasks for job in sequence.jobs])),
        "work_mean_s": float(np.mean(work)),
        "work_median_s": float(np.median(work)),
        "last_arrival_s": float(sequence.arrivals_ms[-1] / 1000.0),
    }


def job_work_s(job: Job) -> float:
    """Tasks times their mean duration with 10 executors, in executor-seconds."""
    return sum(stage.tasks * _usual_ms(stage) for stage in job.stages) / 1000.0


def _usual_ms(stage: Stage) -> float:
    for wave in ("rest", "first", "fresh"):
        if (value := log_mean(stage, wave)) is not None:
            return float(np.exp(value))
    return stage.rough_ms


def _show(args: argparse.Namespace) -> int:
    rows = [figures_of(sequence) for sequence in job_sequences(args.spec)]
    if args.json:
        print(json.dumps({"sequences": rows}))
        return 0
    print(f"{'sequence':<16}{'jobs':>6}{'stages':>8}{'tasks':>8}{'work s':>9}{'median':>8}  (a job) until s")
    for row in rows:
        print(
            f"{row['name']:<16}{row['jobs']:>6}{row['stages_a_job']:>8.1f}{row['tasks_a_job']:>8.0f}"
            f"{row['work_mean_s']:>9.0f}{row['work_median_s']:>8.0f}{row['last_arrival_s']:>17.0f}"
        )
    return 0


if __name__ == "__main__":
    exit_with(main)
