# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Convert official files: `python -m hulk_hf.conversion.official FOLDER_OR_FILES --output DIR`.

The release has one file per task, `ckpt_task{N}_iter_*.pth.tar`. Any subset of them becomes one checkpoint, from which
each task class loads its part. Files are read one after another, without running anything in them; memory holds the
merged weights and one file. Copies of what tasks share are compared and have to be equal. Nothing is written before
all is well, and a failure leaves nothing behind. Exit code 0 if all went well, 2 if the input is no good.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hulk_hf.conversion.converted_file import convert_file
from hulk_hf.conversion.merging import TOLERANCE, Disagreement, Merge
from hulk_hf.conversion.official_files import OfficialFile, find_files, naming, read_official_file, recognise_task
from hulk_hf.conversion.official_files import task_name as known_task
from hulk_hf.conversion.official_folder import DTYPES, shared_summary, write_folder
from hulk_hf.modeling.tasks_hulk import OFFICIAL_TASK_IDS


def convert(
    sources: Sequence[str | Path],
    output: str | Path,
    *,
    dtype: str | None = None,
    tasks: Sequence[str] | None = None,
    vocabulary: str | Path | None = None,
    keep_task_copies: bool = False,
    include_body_model: bool = False,
) -> Path:
    """Convert official files, say what was done, and write a checkpoint.

    Args:
        sources: Files, folders, `TASK=FILE`, or a repository of the hub; see `find_files`.
        output: The folder to write; it must not exist, or be empty.
        dtype: Of the weights on disk: `float32`, `float16` or `bfloat16`; None: that of the files.
        tasks: Names or official numbers of the tasks to convert; None: all there are.
        vocabulary: Of captions: a `vocab.txt`, or a folder or repository of the hub that has one; None:
            bert-base-uncased of the hub, and without a network the rest is written all the same.
        keep_task_copies: Where shared tensors differ by more than 1e-5, write every group of files that agree as a
            checkpoint of its own, `output/TASK`: a model has one encoder, so this is the form in which each copy can
            be loaded.
        include_body_model: Also write the tensors of the restricted body model that lie in the file of the mesh task,
            into a file of their own.

    Returns:
        The folder.

    Raises:
        ValueError: A file is damaged, of an unknown task, or does not fit the others; or a task is not there.
        FileExistsError: `output` holds something.
    """
    if dtype is not None and dtype not in DTYPES:
        raise ValueError(f"dtype: expected one of {sorted(DTYPES)}, got {dtype!r}")
    output = Path(os.path.abspath(output))
    if output.exists() and not (output.is_dir() and not any(output.iterdir())):
        raise FileExistsError(f"output: {output} exists and is not empty")
    files = _select(sources, tasks)
    draft: Path | None = None
    alone = False
    try:
        while files:
            merge, left = _merge(files, keep_task_copies, include_body_model)
            if draft is None:
                output.parent.mkdir(parents=True, exist_ok=True)
                draft = Path(tempfile.mkdtemp(prefix=f".{output.name}.", dir=output.parent))
                alone = not left
            name = "" if alone else merge.files[0].task.name
            _write(merge, draft / name, output / name, dtype, vocabulary)
            files = left
        if draft is not None:
            _make_readable(draft)
            draft.rename(output)
    except BaseException:
        if draft is not None:
            shutil.rmtree(draft, ignore_errors=True)
        raise
    return output


def _select(sources: Sequence[str | Path], tasks: Sequence[str] | None) -> list[OfficialFile]:
    """The files of the wanted tasks, in the order of the official numbers, each with its task."""
    found, passed_over = find_files(sources)
    for path in passed_over:
        print(f"{path.name}: passed over")
    files: dict[str, OfficialFile] = {}
    for file in found:
        if file.task is None:
            tensors = read_official_file(file.path)
            with naming(file.path):
                file = replace(file, task=recognise_task(tensors))
        other = files.setdefault(str(file.task), file)
        if other is not file:
            raise ValueError(
                f"sources: {other.path} and {file.path} are both of task {file.task!r}, expected one file per task"
            )
    wanted = list(files) if tasks is None else [known_task(name) for name in tasks]
    absent = [name for name in wanted if name not in files]
    if absent or not wanted:
        raise ValueError(f"tasks: no file of {absent}, found those of {sorted(files)}")
    return [files[name] for name in OFFICIAL_TASK_IDS.values() if name in wanted]


def _merge(files: Sequence[OfficialFile], keep: bool, include_body: bool) -> tuple[Merge, list[OfficialFile]]:
    """Merge the files that agree with the first one; returns the others too, which without `keep` is an error."""
    merge, left = Merge(), []
    wrong: list[Disagreement] = []
    for file in files:
        converted = convert_file(file, include_body)
        found = merge.add(converted)
        if found:
            wrong += found
            left.append(file)
            converted.weights.clear()  # it is read again, and two files in memory are not needed
            continue
        counts = converted.counts
        stored = f" ({counts['stored']} of them kept)" if counts["stored"] else ""
        print(
            f"{file.name}: {converted.task.name}, {converted.size}: {counts['live']} tensors live, {counts['dead']} "
            f"dead, {counts['derived']} derived{stored}, {counts['duplicate']} duplicate, {counts['restricted']} "
            "restricted"
        )
    if wrong:
        wrong.sort(key=lambda copy: -copy.difference)
        print("\n".join(map(str, wrong)))
        if not keep:
            raise ValueError(
                f"{len(wrong)} shared tensors differ by more than {TOLERANCE:g}: {'; '.join(map(str, wrong[:10]))}"
                f"{'; ...' if len(wrong) > 10 else ''}. These files are not of one training run; convert them apart, "
                "or keep a copy for each with --keep-task-copies"
            )
    return merge, left


def _write(merge: Merge, draft: Path, final: Path, dtype: str | None, vocabulary: str | Path | None) -> None:
    draft.mkdir(exist_ok=True)
    shared = shared_summary(merge)
    tasks = ", ".join(file.task.name for file in merge.files)
    remarks = write_folder(merge, draft, dtype, vocabulary)
    size = (draft / "model.safetensors").stat().st_size / 1e6
    print(f"{final}: {tasks}; {size:.0f} MB. {shared[0].upper()}{shared[1:]}")
    for remark in remarks:
        print(f"note: {remark}")
    if vocabulary is not None and not any(file.task.queries == "token" for file in merge.files):
        print("note: none of these tasks writes captions, so the vocabulary is not used")


def _make_readable(folder: Path) -> None:
    """Temporary folders are private; a checkpoint is for everybody."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m hulk_hf.conversion.official", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "sources", nargs="+", metavar="SOURCE", help="a file, a folder, TASK=FILE, or a repository of the hub"
    )
    parser.add_argument("--output", "-o", required=True, metavar="DIR", help="the folder to write")
    parser.add_argument("--dtype", choices=sorted(DTYPES), help="of the weights on disk; default: that of the files")
    parser.add_argument("--tasks", nargs="+", help="names or official numbers, also with commas; default: all")
    parser.add_argument(
        "--vocab", help="of captions: vocab.txt, or what has one; default: bert-base-uncased of the hub"
    )
    parser.add_argument(
        "--keep-task-copies", action="store_true", help="where shared tensors differ, write a checkpoint per group"
    )
    parser.add_argument(
        "--include-body-model", action="store_true", help="also write the restricted body model, into its own file"
    )
    given = parser.parse_args(arguments)
    try:
        convert(
            given.sources,
            given.output,
            dtype=given.dtype,
            tasks=split_names(given.tasks),
            vocabulary=given.vocab,
            keep_task_copies=given.keep_task_copies,
            include_body_model=given.include_body_model,
        )
    except (ValueError, OSError) as error:
        print(f"official: error: {error}", file=sys.stderr)
        return 2
    return 0


def split_names(names: Sequence[str] | None) -> list[str] | None:
    """Names that were given one by one or with commas between them; None stays None."""
    return None if names is None else [part.strip() for name in names for part in name.split(",") if part.strip()]


if __name__ == "__main__":
    sys.exit(main())

__all__ = ["convert", "main", "split_names"]
