"""`anydepth predict`: disparity or depth maps of many pictures and videos as files."""

import argparse
import errno
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path, PurePath

from tqdm import tqdm
from transformers.utils import logging

from .atomic_write import remove_leftovers
from .bundled_checkpoint import BUNDLED_CHECKPOINT
from .calibration import Calibration, find_calibration
from .camera_options import ESTIMATE, intrinsics_of
from .inputs import Source, dataset_sources, find_sources, read_list, separate
from .loading import load_model
from .outputs import FORMATS, OutputOptions, check_replaceable, is_complete, output_paths, write_outputs
from .outputs_3d import ENDINGS, MAX_POINTS_OF_PAGE, ShapeOptions, with_arrays
from .predict_report import Report, noun, own_path
from .predict_videos import formats_of_videos, predict_videos
from .prediction import FAILURES, Predictor, Result, model_label
from .processes import Processes
from .rerun_log import RerunLog
from .video_convert import video_paths

BUNDLED_PHOTO = Path(BUNDLED_CHECKPOINT) / "coffee.jpg"
DEFAULT_FORMATS = ("png", "color")
# Conditions in which every further picture would fail too.
_FATAL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def run(args: argparse.Namespace) -> int:
    """Predicts, writes and reports. Returns the exit status: 1 when a picture failed."""
    logging.disable_progress_bar()
    with Processes() as processes:
        sources = _sources(args)
        predictor, calibration = _predictor(args, processes)
        formats = formats_of_videos(args.format, sources)
        options = _options(args, predictor)
        plan = {}
        for source in sources:
            name = (args.output_dir, source.stem, predictor.output_kind)
            plan[source] = video_paths(*name, formats) if source.video else output_paths(*name, options.formats)
        args.output_dir.mkdir(parents=True, exist_ok=True)
        if processes.is_main:
            for folder in {path.parent for paths in plan.values() for path in paths.values()}:
                remove_leftovers(folder)
        complete = [not args.overwrite and is_complete(plan[source]) for source in sources]
        # as the first process sees it, before any of them writes: they share out the same list
        complete = processes.gather(complete)[0]
        todo = [source for source, done in zip(sources, complete) if not done]
        if processes.is_main and len(todo) < len(sources):
            kept = len(sources) - len(todo)
            print(f"Kept the results of {kept} {noun(sources, kept)} that exist; --overwrite replaces them.")
        report = Report(args.report, processes, args.overwrite)
        try:
            log = None
            if args.rerun is not None:  # one recording a process; a viewer where no file is named
                log = RerunLog(own_path(Path(args.rerun), processes) if args.rerun else None)
            share = processes.share(todo)
            pictures = [source for source in share if not source.video]
            _predict_all(pictures, plan, predictor, options, calibration, args, report, log)
            predict_videos([source for source in share if source.video], plan, predictor, options, args, report)
            if log is not None:
                log.close()
        finally:
            status = report.finish(todo, plan, args.output_dir, predictor.output_kind)
    return status


def _sources(args: argparse.Namespace) -> list[Source]:
    if not args.dataset and (args.split or args.column):
        raise ValueError("--split and --column choose from a data set: name it by --dataset.")
    names = [*args.inputs, *(read_list(args.list) if args.list else ())]
    sources = find_sources(names, recursive=not args.no_recursive, videos=True) if names else []
    if args.dataset:
        sources = separate(sources + dataset_sources(args.dataset, args.split, args.column))
    return sources or find_sources([BUNDLED_PHOTO])


def _predictor(args: argparse.Namespace, processes: Processes) -> tuple[Predictor, Calibration | None]:
    name = args.model or BUNDLED_CHECKPOINT
    calibration, path = find_calibration(name, args.calibration)
    model, processor = load_model(name, processes.device(args.device), args.dtype, args.trust_remote_code)
    predictor = Predictor(
        model,
        processor,
        model_label(name),
        args.batch_size,
        args.workers,
        calibration and calibration.alignment,
        args.predicts,
        tiles=args.tiles or 0,
    )
    predictor.set_size(args.size or (calibration and calibration.size))
    if calibration and processes.is_main:
        print(f"Metric through {path}: {calibration}")
    return predictor, calibration


def _options(args: argparse.Namespace, predictor: Predictor) -> OutputOptions:
    formats = list(dict.fromkeys([*(args.format or DEFAULT_FORMATS), *["npy"] * args.npy]))
    formats = [name for name in formats if name in FORMATS]  # the others are for videos
    if args.rerun and not args.rerun.endswith(".rrd"):  # an image behind --rerun, which may stand alone
        raise ValueError(f"--rerun: the name of a recording ends with .rrd, unlike {args.rerun}; give inputs first.")
    shapes = [name for name in formats if name in ENDINGS] + ["rerun"] * (args.rerun is not None)
    if shapes and not predictor.is_metric:
        raise ValueError(
            f"{shapes[0]} needs depth in metres, but {predictor.name} predicts {predictor.kind} up to an "
            "unknown scale and shift. `anydepth calibrate` fits both to known distances; give what it wrote by "
            "--calibration."
        )
    if args.focal == ESTIMATE and not predictor.is_metric:
        raise ValueError(
            f"--focal {ESTIMATE} needs depth in metres: give --calibration, or the focal length itself, or --fov."
        )
    return OutputOptions(
        formats=with_arrays(formats),
        step=args.step,
        colormap=args.colormap,
        limits=args.range and tuple(args.range),
        robust=0.02 if args.robust else 0.0,
        legend=args.legend,
        beside=args.side_by_side,
        shape=ShapeOptions(args.points, args.max_points, args.edge_threshold, args.voxel_size, args.max_depth),
        overwrite=args.overwrite,
    )


def _predict_all(
    sources: list[Source],
    plan: dict[Source, dict[str, Path]],
    predictor: Predictor,
    options: OutputOptions,
    calibration: Calibration | None,
    args: argparse.Namespace,
    report: Report,
    log: RerunLog | None,
):
    """Predicts and writes, at once; what fails goes into the report and the rest goes on."""

    def write(result: Result):
        depth = result.depth
        assert depth is not None
        name = PurePath(result.source.name).name
        camera = intrinsics_of(args, result.image, name, lambda: depth.to_depth().filled())
        depth = replace(depth, intrinsics=camera or (calibration and calibration.camera_of(*result.image.size)))
        write_outputs(depth, result.image, plan[result.source], options)
        if log is not None:
            cloud = options.shape.build(depth, result.image, MAX_POINTS_OF_PAGE)
            log.log(name, cloud, depth.to_depth().filled(), result.image)

    def writable() -> Iterator[Source]:
        for source in sources:
            try:
                if not options.overwrite:
                    check_replaceable(plan[source].values())
                yield source
            except OSError as error:
                report.failed(source, error)
                progress.update()

    def collect(done: set[Future]):
        for future in done:
            source = writing.pop(future)
            try:
                future.result()
                report.succeeded(source, plan[source])
            except FAILURES as error:
                report.failed(source, error)
                if isinstance(error, OSError) and error.errno in _FATAL:
                    raise
            progress.update()

    writing: dict[Future, Source] = {}
    hidden = len(sources) < 2 or not report.processes.is_main
    with tqdm(total=len(sources), unit="image", disable=hidden) as progress:
        pool = ThreadPoolExecutor(args.workers, "write")
        try:
            for result in predictor.stream(writable()):
                if result.error is not None:
                    report.failed(result.source, result.error)
                    progress.update()
                    continue
                writing[pool.submit(write, result)] = result.source
                done = {future for future in writing if future.done()}
                if len(writing) - len(done) > 2 * args.workers:  # maps wait in memory for slow disks
                    done |= wait(writing, return_when=FIRST_COMPLETED).done
                collect(done)
            collect(wait(writing).done)
        finally:
            pool.shutdown(cancel_futures=True)
