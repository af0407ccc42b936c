"""One function a room: open and check what a job reads, call the science, store what comes back.

Nothing here decides a number, so editing this file reruns nothing.
"""

import os
from importlib import import_module
from pathlib import Path

import numpy as np

from headworks import store
from headworks.dataset import Dataset
from headworks.digest import canonical, file_digest
from headworks.job import Job
from headworks.spec import ModelSpec, TrainSpec

UNCLAMPED = "unclamped"
"""The condition of a run without clamps."""


def asked_device() -> str:
    """What HEADWORKS_DEVICE insists on: runtime, so it is no part of the config."""
    return os.environ.get("HEADWORKS_DEVICE", "auto")


def data(job: Job, out: Path) -> None:
    """Generate a dataset."""
    options = import_module(f"headworks.studies.{job.study}.options").DATASETS[job.kind]
    make = getattr(import_module(f"headworks.studies.{job.study}.datasets"), job.kind)
    dataset: Dataset = make(options.model_validate(job.spec["options"]))
    with store.writing(out, job) as file:
        file.attrs.update(
            {
                "layout": dataset.layout,
                "d_vocab": dataset.d_vocab,
                "n_context": dataset.n_context,
                "bos": dataset.bos,
                "predicts": dataset.predicts,
                "facts": canonical(dataset.facts),
            }
        )
        axes = ("sequence", "position")
        store.put(
            file, "train", dataset.train, ("token",) if dataset.layout == "stream" else axes, "token id"
        )
        store.put(file, "evaluation", dataset.evaluation, axes, "token id")
        store.put(file, "vocabulary", np.array(dataset.vocabulary), ("token",))
        for name, array in dataset.arrays.items():
            store.put(file, name, array, dataset.axes[name])


def run(job: Job, out: Path) -> None:
    """Train an ensemble; progress survives a kill in a file beside the artefact, named by the job's key."""
    from headworks.device import claim_device
    from headworks.progress import Progress
    from headworks.readers import reading
    from headworks.train import split, train

    spec = TrainSpec.model_validate(job.spec["train"])
    conditions = [name for name in job.spec["clamps"] or [UNCLAMPED] for _ in job.spec["seeds"]]
    seeds = tuple(job.spec["seeds"]) * max(1, len(job.spec["clamps"]))
    out.parent.mkdir(parents=True, exist_ok=True)
    state = out.with_name(f".{out.stem}.{job.key}.state")
    with reading(job) as inputs, claim_device(asked_device()) as device:
        dataset_name, dataset = next(iter(inputs.datasets.items()))
        model = dataset.complete(ModelSpec.model_validate(job.spec["model"]))
        tokens_per_step = spec.batch * dataset.n_context
        progress = Progress(job.name, spec.steps, tokens_per_step * len(seeds))
        trained = train(
            model,
            spec,
            dataset.batches(seeds, spec.batch),
            device,
            state,
            save_seconds=float(os.environ.get("HEADWORKS_SAVE_SECONDS", "30")),
            progress=progress.update,
            task=_task(job, dataset, model, seeds, inputs, device),
        )
    progress.close()
    with store.writing(out, job) as file:
        file.attrs.update(
            {"model": canonical(model.model_dump(mode="json")), "dataset": dataset_name} | trained.manifest
        )
        store.put(file, "seeds", np.array(seeds), ("replica",))
        store.put(file, "conditions", np.array(conditions), ("replica",))
        store.put(file, "steps", np.array(trained.steps), ("snapshot",), "updates")
        store.put(
            file, "tokens", np.array(trained.steps) * tokens_per_step, ("snapshot",), "tokens per replica"
        )
        store.put(file, "diverged", trained.diverged, ("replica",), "update, -1 if never")
        store.put(file, "trace/loss", trained.loss, ("step", "replica"), "nats per token")
        store.put(file, "trace/grad_norm", trained.grad_norm, ("step", "replica"))
        for name, array in split(model, np.stack(trained.snapshots)).items():
            store.put(
                file,
                f"snapshots/{name}",
                array,
                ("snapshot", "replica", *(f"{name}:{i}" for i in range(array.ndim - 2))),
            )
    for leftover in out.parent.glob(f".{out.stem}.*.state*"):
        leftover.unlink()


def _task(job: Job, dataset, model: ModelSpec, seeds: tuple[int, ...], inputs, device):
    """What the ensemble learns from beside its batches: vectors, clamps, another run's parameters."""
    import torch

    from headworks.starts import borrowed
    from headworks.train import Task

    vectors = clamps = None
    if dataset.vectors is not None:
        # only those that training shows: every update embeds them all
        shown = int(dataset.train[:, : dataset.n_context + 1].max()) + 1 - dataset.d_vocab
        vectors = torch.from_numpy(dataset.vectors[:shown])
    if job.spec["clamps"]:
        build = import_module(f"headworks.studies.{job.study}.clamps").build
        chosen = [clamp for clamp in job.spec["clamps"].values() for _ in job.spec["seeds"]]
        clamps = build(chosen, model, device)
    start = frozen = None
    if job.spec["start"]:
        donor = inputs.runs[job.spec["start"]["run"]]
        start, frozen = borrowed(job.spec["start"], donor, model, seeds)
    return Task(dataset.predicts, vectors, clamps, start, frozen)


def activations(job: Job, out: Path) -> None:
    """Cache sites of a run on probes, in half precision but for the losses."""
    import torch

    from headworks.activations import cache, probe_tokens
    from headworks.device import claim_device
    from headworks.progress import steps
    from headworks.readers import reading

    with reading(job) as inputs, claim_device(asked_device()) as device:
        ((name, run_reader),) = inputs.runs.items()
        dataset = run_reader.dataset
        chosen = range(len(run_reader)) if job.spec["snapshots"] == "all" else [len(run_reader) - 1]
        with store.writing(out, job) as file, torch.inference_mode():
            file.attrs.update({"run": name, "n_layers": run_reader.model_spec.n_layers})
            store.put(
                file, "snapshots", np.array(list(chosen)), ("snapshot",), "index into the run's snapshots"
            )
            tokens = {probe: probe_tokens(spec, dataset) for probe, spec in job.spec["probes"].items()}
            for probe, array in tokens.items():
                store.put(file, f"{probe}/tokens", array, ("sequence", "position"), "token id")
            for row, snapshot in enumerate(steps(job.name, chosen, len(chosen))):
                model = run_reader.model(snapshot, device)
                for probe, spec in job.spec["probes"].items():
                    found = cache(model, torch.from_numpy(tokens[probe]), spec["sites"], dataset.predicts)
                    for site, value in found.items():
                        _place(file, f"{probe}/{site}", row, len(chosen), value)


def _place(file, name: str, row: int, rows: int, value: np.ndarray) -> None:
    if name not in file:
        dtype = np.float32 if name.endswith("/loss") else np.float16
        dataset = file.create_dataset(name, (rows, *value.shape), dtype, chunks=(1, *value.shape))
        dataset.attrs["axes"] = ["snapshot", "replica"]
        dataset.attrs["units"] = "nats" if name.endswith("/loss") else ""
    file[name][row] = value


def tables(job: Job, out: Path) -> None:
    """Make a table."""
    from headworks.readers import reading

    options = import_module(f"headworks.studies.{job.study}.options").EXPERIMENTS[job.kind]
    measure = import_module(f"headworks.studies.{job.study}.experiments.{job.kind}").table
    with reading(job) as inputs:
        store.write_table(out, measure(options.model_validate(job.spec), inputs), job)


def figures(job: Job, out: Path) -> None:
    """Draw a figure, as SVG and PNG."""
    from headworks.figures import save
    from headworks.readers import reading

    options = import_module(f"headworks.studies.{job.study}.options").FIGURES[job.kind]
    draw = import_module(f"headworks.studies.{job.study}.figures.{job.kind}").draw
    with reading(job) as inputs:
        save(draw(options.model_validate(job.spec), inputs.tables), out, job)


def views(job: Job, out: Path) -> None:
    """Pack attention patterns over training for the head viewer of the page."""
    from headworks.page.views import export
    from headworks.readers import reading

    with reading(job) as inputs:
        shown = export(job.spec, inputs, f"config/studies/{job.study}.yaml: views.{job.name}")
    store.write_text(out, canonical(store.identity(job) | shown))


def claims(job: Job, out: Path) -> None:
    """Judge a claim."""
    from headworks.claim_spec import ClaimSpec
    from headworks.claims import dump, evaluate
    from headworks.history import criterion_commit

    claim = ClaimSpec.model_validate(job.spec["claim"])
    frames = {name: store.read_table(item.path, item) for name, item in job.inputs_of("tables").items()}
    provenance = {
        "key": job.key,
        "code": job.code,
        "tables": {
            name: {"key": item.key, "sha256": file_digest(item.path)}
            for name, item in job.inputs_of("tables").items()
        },
        "versions": store.versions(),
        "criterion_commit": criterion_commit(Path("config/studies"), job.study, job.name),
    }
    result = evaluate(job.study, job.name, claim, frames, scale=job.spec["scale"], provenance=provenance)
    store.write_text(out, dump(result))


ROOMS = {
    "data": data,
    "runs": run,
    "activations": activations,
    "tables": tables,
    "figures": figures,
    "views": views,
    "claims": claims,
}
