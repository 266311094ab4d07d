"""The tab for one picture."""

from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from ..image_processing import ImageLoadError
from . import wording
from .analysis import Analysis, TooSlowError
from .downloads import add_download
from .evidence import write_evidence, write_files
from .examples import PHOTOS
from .serving import save_for_screen
from .tabs import AS_MODEL, LIMITS, PICTURES, QUICK, add_examples, note, show
from .views import VIEWS, View, available_views, render_view
from .zoo import Zoo

KEPT_S = 30 * 60  # seconds that a result stays in memory


def add_localize_tab(zoo: Zoo) -> None:
    """Upload, models and examples on the left; verdict, views, threshold and downloads on the right."""
    kept = gr.State(None, time_to_live=KEPT_S)
    with gr.Row(equal_height=False):
        with gr.Column(scale=4, min_width=290):
            upload = gr.File(label="Your picture", file_types=PICTURES, height=150, elem_id="ifl-upload")
            note(LIMITS)
            examples = add_examples(PHOTOS, "Or an example whose history is known")
            model = gr.Radio(zoo.names, value=zoo.names[0], label="Model", elem_id="ifl-model")
        with gr.Column(scale=7, min_width=300):
            message = gr.HTML(wording.INTRO, padding=False, elem_id="ifl-message")
            with gr.Column(visible=False) as results:
                view = gr.Radio(list(VIEWS), label="Compare the original, left of the line, with", elem_id="ifl-view")
                compare = gr.ImageSlider(
                    label="The original, and the view of the result",
                    show_label=False,
                    max_height=480,
                    slider_position=30,
                    buttons=["fullscreen"],
                    elem_id="ifl-compare",
                )
                legend = gr.HTML(padding=False)
                threshold = gr.Slider(
                    0,
                    1,
                    step=0.01,
                    label="Mask threshold",
                    info="Lower marks more.",
                    buttons=["reset"],
                    elem_id="ifl-threshold",
                )
                area = gr.HTML(padding=False, elem_id="ifl-area")
                with gr.Row():
                    add_download("Report (HTML)", write_evidence, [kept, threshold], "ifl-report")
                    add_download("All results (ZIP)", write_files, [kept, threshold], "ifl-files")

    picture = [compare, legend, area]
    outputs = [kept, message, results, view, threshold, *picture]
    analyse: dict[str, Any] = {
        "fn": partial(_analyse, zoo),
        "inputs": [upload, model],
        "outputs": outputs,
        "show_progress_on": message,
        **AS_MODEL,
    }
    asked = [upload.upload(**analyse), model.input(**analyse)]
    for button, example in examples:
        taken = button.click(lambda path=str(example.path): path, None, upload, show_progress="hidden", **QUICK)
        asked.append(taken.then(**analyse))
    for event in asked:
        event.then(None, js=show("ifl-message"))
    upload.clear(_forget, None, outputs, show_progress="hidden", **QUICK)
    for event in (threshold.input, view.input):
        event(_redraw, [kept, view, threshold], picture, trigger_mode="always_last", show_progress="hidden", **QUICK)


def _analyse(zoo: Zoo, path: str | None, model: str) -> tuple[Any, ...]:
    """One picture through the model; what cannot be done is one line in place of the verdict."""
    if path is None:
        return _forget()
    try:
        analysis = zoo.localizer(model)(Path(path))
    except (ImageLoadError, TooSlowError) as error:
        return None, wording.error(error), gr.update(visible=False), *[gr.skip()] * 5
    threshold, views = analysis.model.processor.threshold, available_views(analysis)
    return (
        analysis,
        wording.verdict(analysis),
        gr.update(visible=True),
        gr.update(choices=views, value="Overlay"),
        threshold,
        *_redraw(analysis, "Overlay", threshold),
    )


def _redraw(analysis: Analysis | None, view: View, threshold: float) -> tuple[Any, ...]:
    """The views at a threshold, from the heat map that is kept."""
    if analysis is None:
        return gr.skip(), gr.skip(), wording.error("This result is no longer kept here; give the picture again.")
    pictures = analysis.original, save_for_screen(render_view(analysis, view, threshold))
    return pictures, wording.legend(threshold), wording.area(analysis, threshold)


def _forget() -> tuple[Any, ...]:
    return None, wording.INTRO, gr.update(visible=False), *[gr.skip()] * 5
