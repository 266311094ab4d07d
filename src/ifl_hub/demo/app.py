"""The page and its server."""

import logging
import os
import signal
import tempfile
from collections.abc import Sequence
from pathlib import Path

# Before Gradio is imported: nobody is told that a demo runs here.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

import gradio as gr

from ..checkpoints import DEFAULT_CHECKPOINT
from ..cli.job import silence_libraries
from .batch_tab import add_batch_tab
from .faces_tab import add_faces_tab
from .localize_tab import add_localize_tab
from .pictures import MAX_FILE_MB
from .zoo import Zoo

logger = logging.getLogger(__name__)
_SWEEP_S, _KEEP_S = 300, 3300  # uploads and results are deleted within the hour
_WAITING = 20  # visitors in the queue
_SESSIONS = 32  # whose results are in memory
_PLUM = gr.themes.Color(
    *(
        "#fbf4fa",
        "#f5e4f2",
        "#ecc9e6",
        "#dca0d1",
        "#c570b4",
        "#a84795",
        "#8c2f79",
        "#742464",
        "#5c1d50",
        "#451740",
        "#2c0d29",
    )
)
_TITLE = """<h1>ifl<span>·hub</span></h1><p>Image forgery localization: where a photo does not fit itself.</p>"""


def build_demo(models: Sequence[str] = (DEFAULT_CHECKPOINT,)) -> gr.Blocks:
    """The page, ready to launch.

    Args:
        models: Embedded names, folders or Hub ids to offer before the embedded ones.

    Raises:
        CommandError: If a model does not exist or cannot be loaded.
    """
    zoo = Zoo(models)
    with gr.Blocks(
        title="ifl-hub: image forgery localization", analytics_enabled=False, delete_cache=(_SWEEP_S, _KEEP_S)
    ) as demo:
        gr.HTML(_TITLE, padding=False, elem_id="ifl-title")
        with gr.Tab("One picture"):
            add_localize_tab(zoo)
        with gr.Tab("Many pictures"):
            add_batch_tab(zoo)
        with gr.Tab("Deepfake faces"):
            add_faces_tab(zoo)
    return demo.queue(max_size=_WAITING)


def launch_demo(*models: str, host: str | None = None, port: int | None = None) -> None:
    """Serve the page until the process is stopped.

    Uploads go to a folder of this process's own, are served only under names that nobody can guess, and are deleted
    within the hour, all of them at the end.

    Args:
        models: As for `build_demo`; by default the package's default.
        host: Address to listen on; by default this machine only, or what the environment (a Space) says.
        port: By default the first free one from 7860, or what the environment says.

    Raises:
        CommandError: If a model does not exist or cannot be loaded, or the port is taken.
    """
    silence_libraries()
    _log_to_terminal()
    with tempfile.TemporaryDirectory(prefix="ifl-hub-demo-") as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder
        demo = build_demo(models or (DEFAULT_CHECKPOINT,))
        _, address, _ = demo.launch(
            server_name=host,
            server_port=port,
            share=False,
            ssr_mode=False,
            footer_links=[],
            max_file_size=MAX_FILE_MB * 10**6,
            state_session_capacity=_SESSIONS,
            theme=_theme(),
            head=_style(),
            quiet=True,
            prevent_thread_lock=True,
        )
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # leaves the block above as Ctrl-C does
        logger.info("the demo runs at %s", address)
        demo.block_thread()


def _log_to_terminal() -> None:
    """What runs and how long pictures take, without their names."""
    log = logging.getLogger("ifl_hub.demo")
    log.setLevel(logging.INFO)
    if not log.handlers:
        log.addHandler(logging.StreamHandler())


def _style() -> str:
    """The style sheet as it is; given as `css`, Gradio would rewrite its rules and lose some."""
    return f"<style>{(Path(__file__).parent / 'style.css').read_text(encoding='utf-8')}</style>"


def _theme() -> gr.Theme:
    """Plum on near-white; fonts of the visitor's own system, so that nothing is fetched from anywhere."""
    theme = gr.themes.Base(
        primary_hue=_PLUM,
        secondary_hue=_PLUM,
        neutral_hue="zinc",
        radius_size="lg",
        spacing_size="md",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    )
    return theme.set(
        body_background_fill="*neutral_50",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_400",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_400",
        block_title_text_color="*neutral_700",
        block_title_text_color_dark="*neutral_200",
        block_border_width="1px",
        block_border_color="#d5d1da",
        button_border_width="1px",
        block_label_background_fill="transparent",
        block_label_background_fill_dark="transparent",
        block_label_border_width="0px",
        block_label_text_weight="600",
        block_title_text_weight="600",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_600",
        button_primary_text_color="white",
        button_secondary_background_fill="white",
        button_secondary_background_fill_hover="*primary_50",
        button_secondary_border_color="*neutral_300",
        checkbox_label_background_fill_selected="*primary_700",
        checkbox_label_background_fill_selected_dark="*primary_600",
        checkbox_label_text_color_selected="white",
        slider_color="*primary_700",
        slider_color_dark="*primary_400",
    )
