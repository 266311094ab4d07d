"""The tab for many pictures: a gallery, a table, and all results in one ZIP file."""

from collections.abc import Iterator
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from ..image_processing import ImageLoadError
from . import wording
from .analysis import Analysis, TooSlowError
from .evidence import ResultsZip
from .pictures import MAX_FILES
from .serving import new_file, save_for_screen
from .tabs import LIMITS, PICTURES, note
from .views import render_view
from .zoo import Zoo

_GALLERY_SIDE = 640  # pixels


def add_batch_tab(zoo: Zoo) -> None:
    """Uploads and a button; below, what came out."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=4, min_width=290):
            upload = gr.File(
                label="Your pictures",
                file_count="multiple",
                file_types=PICTURES,
                height=180,
                elem_id="ifl-batch-upload",
            )
            note(f"Up to {MAX_FILES} pictures. {LIMITS}")
            model = gr.Radio(zoo.names, value=zoo.names[0], label="Model")
            start = gr.Button("Look at all of them", variant="primary", elem_id="ifl-batch-start")
        with gr.Column(scale=7, min_width=300):
            table = gr.HTML(_INTRO, padding=False, elem_id="ifl-batch-table")
            gallery = gr.Gallery(
                label="Overlays",
                elem_id="ifl-batch-gallery",
                visible=False,
                columns=3,
                height="auto",
                object_fit="contain",
                buttons=["fullscreen"],
            )
            archive = gr.DownloadButton("All results (ZIP)", visible=False, elem_id="ifl-batch-zip")
    start.click(
        partial(_look_at_all, zoo),
        [upload, model],
        [table, gallery, archive],
        concurrency_id="batch",
        concurrency_limit=1,
        api_visibility="private",
        show_progress_on=table,
    )


_INTRO = """<div class="ifl-card ifl-intro"><p class="ifl-headline">Many pictures at once</p>
<p>The most suspicious come first, each with its overlay. The ZIP file holds overlays, masks, 16-bit heat maps and one
line of JSON per picture, as <code>ifl-hub localize</code> writes them.</p></div>"""


def _look_at_all(zoo: Zoo, paths: list[str] | None, model: str) -> Iterator[tuple[Any, ...]]:
    """One picture after the other, others' pictures in between; the table grows as they are done."""
    if not paths:
        yield wording.error("Give some pictures first."), gr.skip(), gr.skip()
        return
    if len(paths) > MAX_FILES:
        yield (
            wording.error(f"{len(paths)} pictures are more than {MAX_FILES}; run `ifl-hub localize FOLDER` at home."),
            *[gr.skip()] * 2,
        )
        return
    localizer, target = zoo.localizer(model), new_file("results.zip")
    rows: list[tuple[float, str]] = []
    overlays: list[tuple[float, str, str]] = []
    with ResultsZip(target) as archive:
        for number, path in enumerate(map(Path, paths), start=1):
            name = escape(path.name)
            try:
                analysis = localizer(path)
            except (ImageLoadError, TooSlowError) as error:
                rows.append((-1.0, f'<td>{name}</td><td colspan="3">{escape(str(error))}</td>'))
            else:
                score, threshold = analysis.result["score"], localizer.processor.threshold
                archive.add(analysis, threshold)
                rows.append((score, f"<td>{name}</td>{_cells(analysis, threshold)}"))
                overlays.append((score, _small_overlay(analysis, threshold), f"{path.name} · {score:.2f}"))
            pictures = [(file, caption) for _, file, caption in _worst_first(overlays)]
            shown = gr.update(value=pictures, visible=bool(pictures))
            yield _table(rows, number, len(paths)), shown, gr.update(visible=False)
    yield gr.skip(), gr.skip(), gr.update(value=str(target), visible=bool(overlays))


def _worst_first(scored: list[Any]) -> list[Any]:
    return sorted(scored, key=lambda entry: entry[0], reverse=True)


def _cells(analysis: Analysis, threshold: float) -> str:
    verdict = "<b>flagged</b>" if analysis.flagged else "not flagged"
    return f"<td>{analysis.result['score']:.2f}</td><td>{verdict}</td><td>{analysis.mask(threshold).mean():.1%}</td>"


def _table(rows: list[tuple[float, str]], done: int, total: int) -> str:
    body = "".join(f"<tr>{cells}</tr>" for _, cells in _worst_first(rows))
    return f"""<div class="ifl-card"><p class="ifl-small" role="status">{done} of {total} done</p>
<table class="ifl-table"><thead><tr><th>Picture</th><th>Suspicion</th><th>Verdict</th><th>Marked</th></tr></thead>
<tbody>{body}</tbody></table></div>"""


def _small_overlay(analysis: Analysis, threshold: float) -> str:
    overlay = render_view(analysis, "Overlay", threshold)
    overlay.thumbnail((_GALLERY_SIDE, _GALLERY_SIDE), Image.Resampling.BOX)
    return save_for_screen(overlay)
