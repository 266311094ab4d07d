"""The tab for faces: which of them look like deepfakes, and what that is worth."""

from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from ..checkpoints import DEFAULT_FACE_CHECKPOINT, list_checkpoints
from ..image_processing import ImageLoadError, NoFaceError
from ..reports import render_faces
from ..reports.embedding import shrink
from . import wording
from .analysis import SCREEN
from .examples import FACES, recognise
from .pictures import read_picture
from .tabs import AS_MODEL, LIMITS, PICTURES, QUICK, add_examples, note, show
from .zoo import Zoo


def add_faces_tab(zoo: Zoo) -> None:
    """Upload and examples on the left; the faces on the right."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=4, min_width=290):
            upload = gr.File(label="A picture with faces", file_types=PICTURES, height=150, elem_id="ifl-faces-upload")
            note(LIMITS)
            examples = add_examples(FACES, "Or an example whose history is known", "ifl-faces")
        with gr.Column(scale=7, min_width=300):
            message = gr.HTML(_intro(), padding=False, elem_id="ifl-faces-message")
            picture = gr.Image(
                visible=False, show_label=False, interactive=False, buttons=["fullscreen"], elem_id="ifl-faces-picture"
            )
    outputs = [message, picture]
    judge: dict[str, Any] = {
        "fn": partial(_judge, zoo),
        "inputs": upload,
        "outputs": outputs,
        "show_progress_on": message,
        **AS_MODEL,
    }
    asked = [upload.upload(**judge)]
    for button, example in examples:
        taken = button.click(lambda path=str(example.path): path, None, upload, show_progress="hidden", **QUICK)
        asked.append(taken.then(**judge))
    for event in asked:
        event.then(None, js=show("ifl-faces-message"))
    upload.clear(lambda: (_intro(), gr.update(visible=False)), None, outputs, show_progress="hidden", **QUICK)


def _intro() -> str:
    limits = list_checkpoints()[DEFAULT_FACE_CHECKPOINT]["limits"]
    return f"""<div class="ifl-card ifl-intro"><p class="ifl-headline">Is this face a deepfake?</p>
<p>Every face is found, cut out and judged alone.</p><p><b>{limits[0]}</b></p><p>{limits[1]}</p></div>"""


def _judge(zoo: Zoo, path: str | None) -> tuple[Any, ...]:
    """The faces of one picture; what cannot be done is one line in place of the verdict."""
    if path is None:
        return _intro(), gr.update(visible=False)
    try:
        image = read_picture(Path(path))
        result = zoo.face_classifier(image)
    except (ImageLoadError, NoFaceError) as error:
        return wording.error(error), gr.update(visible=False)
    if not result["faces"]:
        return wording.error(f"{Path(path).name}: no face found; crop the picture closer to it."), gr.update(
            visible=False
        )
    framed = shrink(render_faces(image.pixels, result["faces"]), SCREEN)
    return _verdict(Path(path), result, zoo), gr.update(value=framed, visible=True)


def _verdict(path: Path, result: dict[str, Any], zoo: Zoo) -> str:
    point = list_checkpoints()[DEFAULT_FACE_CHECKPOINT]["operating_point"]
    flagged, alarm = result["label"] == "fake", zoo.face_classifier.image_processor.score_threshold
    count, example = len(result["faces"]), recognise(path)
    history = f"<p><b>What really happened:</b> {example.history}</p>" if example in FACES else ""
    return f"""
<div class="ifl-card {"ifl-flagged" if flagged else "ifl-calm"}" role="status">
<p class="ifl-headline">{"A face is flagged as fake" if flagged else "No face is flagged"}</p>
{wording.meter(result["score"], alarm)}
<p class="ifl-small">{count} face{"" if count == 1 else "s"}; the scale shows the most suspicious.</p>
<p>{wording.caution(flagged, point, "face")}</p>{history}
</div>"""
