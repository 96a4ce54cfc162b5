# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The command `hulk-hf`: one verb per thing one does, each a thin call of the module that does it.

Exit codes: 0 done, 1 the check that was asked for failed, 2 the command was used wrongly or its input is no good.
"""

from __future__ import annotations

import json
import os
import pkgutil
import sys
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, cast

import typer

# Top-level module -> the extra that installs it. A test holds this against pyproject.toml.
MODULE_EXTRAS = {
    "accelerate": "train",
    "cv2": "video",
    "datasets": "train",
    "faster_coco_eval": "train",
    "numba": "train",
    "pandas": "viz",
    "peft": "peft",
    "scipy": "train",
    "skimage": "demo",
    "supervision": "viz",
    "threadpoolctl": "train",
    "trackers": "video",
    "trimesh": "viz",
    "yaml": "train",
}

app = typer.Typer(
    name="hulk-hf",
    help="Hulk, the generalist of human-centric vision: use it, train it, prove it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hulk-hf {metadata.version('hulk-hf')}")
        raise typer.Exit


@app.callback()
def _common(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show the whole traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    context.obj["debug"] = debug


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="A recipe (YAML), or the name of a shipped one.", show_default=False)],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Fields to change: data.samples=500.", show_default=False),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Folder of the run. [default: runs/NAME OF THE RECIPE]", show_default=False
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume/--no-resume", help="Go on from the last checkpoint, or delete an earlier run.")
    ] = True,
    cache: Annotated[
        Path, typer.Option(help="Folder of the rendered people; runs share it, what is missing is rendered.")
    ] = Path("runs/data"),
    builder: Annotated[
        str | None,
        typer.Option(help="MODULE:FUNCTION that makes the examples of other data.", show_default=False),
    ] = None,
) -> None:
    """Train a model from a recipe; a run that was killed goes on from its last checkpoint."""
    from hulk_hf.training.loop import train as run

    makes = None if builder is None else _find_builder(builder)
    typer.echo(run(recipe, output, resume=resume, overrides=overrides or [], cache=cache, builder=makes))


def _find_builder(name: str) -> Callable[..., Any]:
    """The function `module:function`, looked for in the current folder too, as `python -m` does."""
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found = pkgutil.resolve_name(name)
    except (ValueError, ImportError, AttributeError) as error:
        raise ValueError(
            f"--builder: expected MODULE:FUNCTION that can be imported, got {name!r} ({error})"
        ) from error
    if not callable(found):
        raise ValueError(f"--builder: expected a function, {name!r} is of type {type(found).__name__}")
    return cast("Callable[..., Any]", found)


@app.command()
def evaluate(
    checkpoint: Annotated[
        str | None, typer.Argument(help="Folder or hub name. [default: the bundled checkpoint]", show_default=False)
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="Rendered persons, scenes and clips of the test split.")] = 500,
    photographs: Annotated[
        Path | None, typer.Option(help="Folder with pictures and one annotation file of joints in COCO's format.")
    ] = None,
    alone: Annotated[
        list[Path] | None,
        typer.Option(help="Folder of a model of one task, to be put beside it; again for more.", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Which rendered persons.")] = 0,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the figures there, as JSON.")] = None,
) -> None:
    """Measure what a model does on rendered people, beside answers that do not look; its joints on photographs too."""
    from hulk_hf import BUNDLED_CHECKPOINT
    from hulk_hf.figures import compare_poses, format_figures
    from hulk_hf.task_figures import compare_tasks, format_tasks

    figures = {"tasks": compare_tasks(checkpoint or BUNDLED_CHECKPOINT, alone or (), samples, seed)}
    typer.echo(format_tasks(figures["tasks"]))
    if "pose-coco" in figures["tasks"]:
        figures["figures"] = compare_poses(checkpoint or BUNDLED_CHECKPOINT, samples, seed, photographs)
        typer.echo("\n" + format_figures(figures["figures"]))
    if output is not None:
        output.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


@app.command()
def predict(
    sources: Annotated[
        list[str], typer.Argument(metavar="SOURCE...", help="Pictures, folders of pictures, URLs, or videos.")
    ],
    task: Annotated[
        str, typer.Option("--task", "-t", help="Tasks or families, with commas: pose,parsing,attributes.")
    ] = "pose",
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="Folder or hub name. [default: the bundled one]", show_default=False),
    ] = None,
    detector: Annotated[
        str | None,
        typer.Option(
            help="Finds the persons: hub name or folder of a detector of transformers, or 'hulk'. "
            "[default: the whole picture is one person]",
            show_default=False,
        ),
    ] = None,
    threshold: Annotated[float, typer.Option(min=0, max=1, help="Least score of a person of the detector.")] = 0.5,
    boxes: Annotated[
        Path | None,
        typer.Option(help="JSON with the boxes (xywh) of the pictures, or COCO annotations.", show_default=False),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the results.")] = Path("outputs/predict"),
    save: Annotated[bool, typer.Option("--save", help="Also write the drawn pictures.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print each result as a line of JSON.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Also do what is done already.")] = False,
    batch_size: Annotated[int, typer.Option(min=1, help="Persons per forward pass.")] = 16,
    shared_crop: Annotated[
        bool, typer.Option("--shared-crop", help="Let families of one input size share a crop: faster, not the same.")
    ] = False,
    device: Annotated[str | None, typer.Option(help="Such as cuda:0. [default: cpu]", show_default=False)] = None,
    every: Annotated[int, typer.Option(min=1, help="Of videos: look for persons in every n-th frame.")] = 5,
    smooth: Annotated[bool, typer.Option("--smooth", help="Of videos: smooth the joints of each track.")] = False,
) -> None:
    """Say of each person in pictures or videos what was asked, one JSON file per picture.

    A run that was interrupted goes on where it was; `torchrun --nproc-per-node 2 -m hulk_hf predict ...` (on GPUs also
    `accelerate launch -m hulk_hf predict ...`) shares the pictures among processes. Exit 1 if some picture could not
    be read.
    """
    from hulk_hf.predict_command import run_predict as run

    failed = run(
        sources,
        task=task,
        model=model,
        detector=detector,
        threshold=threshold,
        boxes=boxes,
        output=output,
        save=save,
        as_json=as_json,
        overwrite=overwrite,
        batch_size=batch_size,
        shared_crop=shared_crop,
        device=device,
        every=every,
        smooth=smooth,
    )
    raise typer.Exit(1 if failed else 0)


@app.command()
def info(
    checkpoint: Annotated[
        str | None, typer.Argument(help="Folder or hub name. [default: the bundled checkpoint]", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Say what a checkpoint can do: families, tasks, labels, input sizes, parameters."""
    from hulk_hf import BUNDLED_CHECKPOINT
    from hulk_hf.checkpoint_info import describe_checkpoint, format_checkpoint

    content = describe_checkpoint(checkpoint or BUNDLED_CHECKPOINT)
    typer.echo(json.dumps(content, indent=2) if as_json else format_checkpoint(content))


@app.command()
def verify(
    files: Annotated[list[Path], typer.Argument(help="Recordings: safetensors, each with its json beside it.")],
) -> None:
    """Compare this code with recordings of the official one, stage by stage. Exit 1 if a stage differs."""
    from hulk_hf.conversion.verify import main as run

    raise typer.Exit(run([str(file) for file in files]))


@app.command()
def convert(
    sources: Annotated[
        list[str],
        typer.Argument(metavar="SOURCE...", help="Official files, folders, TASK=FILE, or a repository of the hub."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.", show_default=False)],
    dtype: Annotated[
        str | None,
        typer.Option(
            help="Of the weights on disk: float32, float16, bfloat16. [default: that of the files]", show_default=False
        ),
    ] = None,
    tasks: Annotated[
        list[str] | None,
        typer.Option(help="Task names or official numbers, with commas. [default: all]", show_default=False),
    ] = None,
    vocab: Annotated[
        str | None,
        typer.Option(
            help="Of captions: vocab.txt, or what has one. [default: bert-base-uncased of the hub]", show_default=False
        ),
    ] = None,
    keep_task_copies: Annotated[
        bool, typer.Option("--keep-task-copies", help="Where shared tensors differ, write a checkpoint per group.")
    ] = False,
    include_body_model: Annotated[
        bool, typer.Option("--include-body-model", help="Also write the restricted body model, into its own file.")
    ] = False,
) -> None:
    """Turn official files, one per task, into one checkpoint."""
    from hulk_hf.conversion.official import convert as run
    from hulk_hf.conversion.official import split_names

    run(
        sources,
        output,
        dtype=dtype,
        tasks=split_names(tasks),
        vocabulary=vocab,
        keep_task_copies=keep_task_copies,
        include_body_model=include_body_model,
    )


@app.command()
def synthesize(
    output: Annotated[Path, typer.Option("--output", "-o", help="The PNG to write.")] = Path("outputs/people.png"),
    count: Annotated[int, typer.Option(min=1, help="How many people.")] = 24,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "train",
    seed: Annotated[int, typer.Option(min=0, help="Of the generator.")] = 0,
) -> None:
    """Render people with their ground truth onto one sheet, to look at."""
    from hulk_hf.synthetic.preview import contact_sheet as run

    output.parent.mkdir(parents=True, exist_ok=True)
    run(output, split, count, seed)
    typer.echo(output)


@app.command()
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="The PNG to write.")] = Path("outputs/demo.png"),
) -> None:
    """Draw the joints that the bundled model finds on a photograph and on a rendered person."""
    from hulk_hf.demo import run_demo as run

    output.parent.mkdir(parents=True, exist_ok=True)
    run(output)
    typer.echo(output)


@app.command()
def benchmark(
    rounds: Annotated[int, typer.Option(min=1, help="Turns of each comparison; medians are reported.")] = 9,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the results there, as JSON.")] = None,
) -> None:
    """Time Hulk beside a model of the same size, and the pipeline's share outside the network."""
    from hulk_hf.benchmark import main as run

    run(rounds, output)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and end the process with its exit code.

    What a user can mend (a wrong value, a missing file, an extra that isn't installed) is said in one line on stderr;
    `--debug` shows the traceback instead. Anything else is a defect of ours, and its traceback is shown.

    Args:
        arguments: The words after `hulk-hf`; those of this process by default.
    """
    state = {"debug": False}
    try:
        app(None if arguments is None else list(arguments), obj=state, prog_name="hulk-hf")
    except ModuleNotFoundError as error:
        extra = MODULE_EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None or state["debug"]:
            raise
        _fail(f"{error.name} is not installed, and this needs it: pip install 'hulk-hf[{extra}]'")
    except ImportError as error:
        # supervision draws with OpenCV, whose wheel expects a library that machines without a desktop may lack.
        if state["debug"] or "libGL.so" not in str(error):
            raise
        _fail(f"{error}; OpenCV needs it (on Debian and Ubuntu: apt-get install libgl1)")
    except (ValueError, OSError, FloatingPointError) as error:
        if state["debug"]:
            raise
        _fail(str(error) or type(error).__name__)


def _fail(message: str) -> None:
    print(f"hulk-hf: error: {' '.join(message.split())}", file=sys.stderr)
    raise SystemExit(2)
