"""The Space, as visitors meet it: a real server, a real browser, real clicks and keys.

It serves a model that was trained here, pushed to a Hub on this machine, and is named by its id.
"""

import io
import json
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ifl_hub import (
    AutoModelForImageForgeryLocalization,
    IflImageProcessor,
    ImageForgeryLocalizationPipeline,
)
from mini_hub import MiniHub
from test_training import run as train

pytest.importorskip("gradio", reason="the extra `demo` is not installed")
pytest.importorskip("playwright", reason="playwright (extra `dev`) is not installed")

from playwright import sync_api

from ifl_hub.demo.examples import FACES, PHOTOS

expect = sync_api.expect
HERE = Path(__file__).parent
REPOSITORY = HERE.parent
SAMPLE = REPOSITORY / "docs" / "sample.jpg"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PATIENCE_MS = 300_000  # for machines that do ten other things


class Space:
    """`spaces/app.py` in a process of its own."""

    def __init__(self, model: str, folder: Path, environment: dict[str, str]) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        self.lines: list[str] = []
        settings = {"IFL_HUB_MODEL": model, "GRADIO_SERVER_PORT": self.port, "TMPDIR": folder}
        self.process = subprocess.Popen(
            [sys.executable, REPOSITORY / "spaces" / "app.py"],
            env=environment | {name: str(value) for name, value in settings.items()},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        threading.Thread(target=lambda: self.lines.extend(iter(self.process.stdout.readline, "")), daemon=True).start()
        deadline = time.monotonic() + PATIENCE_MS / 1000
        while not any("the demo runs at" in line for line in self.lines):
            assert self.process.poll() is None and time.monotonic() < deadline, "".join(self.lines)
            time.sleep(0.1)

    @property
    def runs(self) -> int:
        """How often a localizer has looked at a picture."""
        return sum(" looked at " in line for line in self.lines)


class Visitors:
    """One browser; every visitor is a session of its own, and whom it talks to is on record."""

    def __init__(self, browser, space: Space) -> None:
        self._browser, self._space = browser, space
        self.strangers: set[str] = set()
        self.failures: list[str] = []

    @contextmanager
    def visit(self, **options) -> Iterator["sync_api.Page"]:
        context = self._browser.new_context(accept_downloads=True, **options)
        context.set_default_timeout(PATIENCE_MS)
        context.on("request", self._note)
        page = context.new_page()
        page.on("pageerror", lambda error: self.failures.append(str(error)))
        page.goto(self._space.address)
        expect(page.locator("#ifl-upload")).to_be_visible()
        yield page
        context.close()

    def _note(self, request) -> None:
        if not request.url.startswith((self._space.address, "data:", "blob:")):
            self.strangers.add(request.url)


def give(page, box: str, *files: Path) -> None:
    """Click an upload field and choose files."""
    with page.expect_file_chooser() as chooser:
        page.locator(f"{box} button").first.click()
    chooser.value.set_files(list(files))


def picture(page, number: int) -> np.ndarray:
    """What the comparison shows: 0 on the left of its line, 1 on the right."""
    source = page.locator("#ifl-compare img").nth(number).get_attribute("src")
    return np.asarray(Image.open(io.BytesIO(page.request.get(source).body())))


def download(page, button: str) -> bytes:
    with page.expect_download() as caught:
        page.locator(button).click()
    return Path(caught.value.path()).read_bytes()


def marked(heatmap: np.ndarray, threshold: float) -> str:
    return f"{(heatmap > threshold).mean():.1%} of the picture"


def a_picture(visitors: Visitors, space: Space, expected: dict) -> None:
    heatmap = expected["heatmap"]
    with visitors.visit() as page:
        give(page, "#ifl-upload", SAMPLE)
        # Known by its content and scored as the file is: no byte was changed on the way.
        expect(page.locator("#ifl-message")).to_contain_text(f"Suspicion {expected['score']:.2f}")
        expect(page.locator("#ifl-area")).to_contain_text(PHOTOS[0].history)
        expect(page.locator("#ifl-area")).to_contain_text(marked(heatmap, 0.5))
        runs = space.runs

        slider, overlay = page.locator("#ifl-threshold input[type=range]"), page.locator("#ifl-compare img").nth(1)
        before = overlay.get_attribute("src")
        box = slider.bounding_box()
        slider.click(position={"x": 0.48 * box["width"], "y": box["height"] / 2})
        threshold = float(slider.input_value())
        assert threshold != 0.5
        expect(page.locator("#ifl-area")).to_contain_text(marked(heatmap, threshold))
        expect(overlay).not_to_have_attribute("src", before)

        seen = {}
        for view in ("Mask", "Heat map", "Truth", "Original"):
            before = overlay.get_attribute("src")
            page.locator("#ifl-view").get_by_label(view, exact=True).check()
            expect(overlay).not_to_have_attribute("src", before)
            seen[view] = picture(page, 1)
        np.testing.assert_array_equal(seen["Mask"][..., 0] > 127, heatmap > threshold)
        np.testing.assert_array_equal(seen["Truth"][..., 0] > 127, PHOTOS[0].mask())
        np.testing.assert_array_equal(seen["Original"], picture(page, 0))

        with zipfile.ZipFile(io.BytesIO(download(page, "#ifl-files"))) as archive:
            mask = np.asarray(Image.open(io.BytesIO(archive.read("sample.jpg.mask.png"))))
            np.testing.assert_array_equal(mask > 0, heatmap > threshold)
            assert json.loads(archive.read("results.jsonl"))["score"] == pytest.approx(expected["score"], abs=1e-6)
        report = download(page, "#ifl-report").decode()
        assert "sample.jpg" in report
        assert "<script" not in report
        assert space.runs == runs  # one picture, one run: whatever was done with it afterwards

        nobody_else_gets_it(visitors, space, page)


def nobody_else_gets_it(visitors: Visitors, space: Space, owner) -> None:
    """Another visitor cannot read the first one's files or results, nor any file of the server."""
    shown = served_path(owner.locator("#ifl-compare img").nth(1).get_attribute("src"))
    upload = served_path(owner.locator("#ifl-upload a").get_attribute("href"))
    assert re.fullmatch(r"[\w-]{32}", shown.parent.name)  # drawn at random
    assert re.fullmatch(r"[0-9a-f]{64}", upload.parent.name)  # of the content and a secret of the installation
    cache = upload.parent.parent
    assert cache == shown.parent.parent
    inside = [".", "sample.jpg", "*/sample.jpg", f"{'0' * 64}/sample.jpg", upload.parent.name, shown.parent.name, ".."]
    outside = [REPOSITORY / "spaces" / "app.py", "spaces/app.py", "/etc/passwd", f"{cache}/../../../../etc/passwd"]
    guesses = [*(f"{cache}/{name}" for name in inside), *outside, "file:///etc/passwd", "http://127.0.0.1:1/x"]
    with visitors.visit() as thief:
        get = thief.request.get
        for guess in guesses:
            answer = get(f"{space.address}/gradio_api/file={guess}")
            assert answer.status in (400, 403, 404), guess
            assert b"root:" not in answer.body()
        config = get(f"{space.address}/config").json()
        upload = next(part["id"] for part in config["components"] if part["props"].get("elem_id") == "ifl-upload")
        events = [event for event in config["dependencies"] if upload in event["inputs"]]
        assert events
        for event in events:
            foreign = {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}
            data = [foreign if part == upload else None for part in event["inputs"]]
            answer = ask(thief, space, event["id"], data)
            assert "process_completed" in answer
            assert '"success":false' in answer.replace(" ", "")
        slider = next(part["id"] for part in config["components"] if part["props"].get("elem_id") == "ifl-threshold")
        redraw = next(event for event in config["dependencies"] if [slider, "input"] in event["targets"])
        assert "no longer kept here" in ask(thief, space, redraw["id"], [None, "Overlay", 0.5])


def served_path(address: str) -> Path:
    return Path(address.partition("/gradio_api/file=")[2])


def ask(page, space: Space, event: int, data: list) -> str:
    """What an event answers in a session of its own, without the page."""
    session = {"session_hash": f"thief{event}", "fn_index": event, "data": data}
    assert page.request.post(f"{space.address}/gradio_api/queue/join", data=session).ok
    return page.request.get(
        f"{space.address}/gradio_api/queue/data?session_hash=thief{event}", timeout=PATIENCE_MS
    ).text()


def what_cannot_be_done(visitors: Visitors, space: Space, folder: Path) -> None:
    Image.new("L", (6000, 5000)).save(folder / "wide.png")
    (folder / "heavy.jpg").open("wb").truncate(41 * 10**6)
    (folder / "broken.jpg").write_bytes(b"no picture")
    logged = len(space.lines)
    with visitors.visit() as page:
        alert = page.get_by_role("alert")
        give(page, "#ifl-upload", folder / "wide.png")
        expect(alert).to_contain_text("wide.png: 6000x5000 is 30 megapixels, and this demo takes 24")
        expect(page.locator("#ifl-compare")).to_be_hidden()
        page.locator("#ifl-upload").get_by_label("Clear").click()
        expect(page.locator("#ifl-message")).to_contain_text("What was changed in this photo?")
        give(page, "#ifl-upload", folder / "broken.jpg")
        expect(alert).to_contain_text("broken.jpg: not a picture this program can read")
        page.locator("#ifl-upload").get_by_label("Clear").click()
        give(page, "#ifl-upload", folder / "heavy.jpg")
        expect(page.get_by_text(re.compile("exceed the maximum allowed size"))).to_be_visible()
    assert not any("Traceback" in line for line in space.lines[logged:])


def examples_by_keyboard(visitors: Visitors, space: Space) -> None:
    with visitors.visit() as page:
        runs = space.runs
        press_until(page, "Tab", f"e.textContent.includes({PHOTOS[2].title!r})")
        page.keyboard.press("Enter")
        area = page.locator("#ifl-area")
        expect(area).to_contain_text(PHOTOS[2].history)
        press_until(page, "Tab", "e.value === 'Heat map'")
        before = page.locator("#ifl-compare img").nth(1).get_attribute("src")
        page.keyboard.press("Space")
        expect(page.locator("#ifl-view").get_by_label("Heat map")).to_be_checked()
        expect(page.locator("#ifl-compare img").nth(1)).not_to_have_attribute("src", before)
        press_until(page, "Tab", "e.type === 'range'")
        text = area.inner_text()
        for _ in range(20):
            page.keyboard.press("ArrowLeft")
        assert page.locator("#ifl-threshold input[type=range]").input_value() == "0.3"
        expect(area).not_to_have_text(text)
        press_until(page, "Tab", "e.id === 'ifl-files'")
        with page.expect_download():
            page.keyboard.press("Enter")
        assert space.runs == runs + 1


def press_until(page, key: str, condition: str) -> None:
    """Press a key until the focused element fulfils a JavaScript condition, and can be seen to be focused."""
    for _ in range(60):
        page.keyboard.press(key)
        if page.evaluate(f"() => {{ const e = document.activeElement; return {condition}; }}"):
            outline = page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle")
            assert outline != "none"
            return
    raise AssertionError(f"no element with {condition} is reached by {key}")


def another_model(visitors: Visitors) -> None:
    with visitors.visit() as page:
        page.get_by_role("button", name=PHOTOS[3].title).click()
        expect(page.locator("#ifl-area")).to_contain_text(PHOTOS[3].history)
        page.locator("#ifl-model").get_by_label("diff-forensics-small").check()
        expect(page.locator("#ifl-message")).to_contain_text("diff-forensics-small")
        expect(page.locator("#ifl-message")).to_contain_text("its verdict says nothing")


def many_pictures(visitors: Visitors, folder: Path) -> None:
    Image.open(SAMPLE).crop((0, 0, 120, 90)).save(folder / "small.png")
    with visitors.visit() as page:
        page.get_by_role("tab", name="Many pictures").click()
        page.locator("#ifl-batch-start").click()
        expect(page.get_by_role("alert")).to_contain_text("Give some pictures first")
        give(page, "#ifl-batch-upload", PHOTOS[2].path, folder / "small.png", folder / "broken.jpg")
        expect(page.locator("#ifl-batch-upload")).to_contain_text("small")
        page.locator("#ifl-batch-start").click()
        expect(page.locator("#ifl-batch-table")).to_contain_text("3 of 3 done")
        expect(page.locator("#ifl-batch-table tbody tr")).to_have_count(3)
        expect(page.locator("#ifl-batch-table tbody tr").last).to_contain_text("not a picture this program can read")
        expect(page.locator("#ifl-batch-gallery img")).to_have_count(2)
        expect(page.locator("#ifl-batch-zip")).to_be_visible()
        with zipfile.ZipFile(io.BytesIO(download(page, "#ifl-batch-zip"))) as archive:
            records = [json.loads(line) for line in archive.read("results.jsonl").splitlines()]
        assert {record["file"] for record in records} == {"cat.jpg", "small.png"}


def faces(visitors: Visitors, folder: Path) -> None:
    Image.new("RGB", (200, 160), "teal").save(folder / "plain.png")
    with visitors.visit() as page:
        page.get_by_role("tab", name="Deepfake faces").click()
        expect(page.locator("#ifl-faces-message")).to_contain_text("Not a deepfake detector to rely on")
        page.get_by_role("button", name=FACES[1].title).click()
        expect(page.locator("#ifl-faces-message")).to_contain_text(FACES[1].history)
        expect(page.locator("#ifl-faces-message")).to_contain_text("1 face;")
        expect(page.locator("#ifl-faces-picture img")).to_be_visible()
        page.locator("#ifl-faces-upload").get_by_label("Clear").click()
        give(page, "#ifl-faces-upload", folder / "plain.png")
        expect(page.get_by_role("alert")).to_contain_text("plain.png: no face found")


def a_phone(visitors: Visitors) -> None:
    with visitors.visit(viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True) as page:
        for tab in ("Many pictures", "Deepfake faces", "One picture"):
            page.get_by_role("tab", name=tab).tap()
            expect(page.get_by_role("tab", name=tab)).to_have_attribute("aria-selected", "true")
            assert width(page) == 390
        page.get_by_role("button", name=PHOTOS[0].title).tap()
        expect(page.locator("#ifl-area")).to_contain_text(PHOTOS[0].history)
        expect(page.locator("#ifl-message")).to_be_in_viewport()
        assert width(page) == 390


def width(page) -> int:
    """Of what can be scrolled to, in pixels."""
    return page.evaluate("Math.max(document.documentElement.scrollWidth, innerWidth)")


def localizer(folder: Path) -> ImageForgeryLocalizationPipeline:
    return ImageForgeryLocalizationPipeline(
        model=AutoModelForImageForgeryLocalization.from_pretrained(folder).eval(),
        image_processor=IflImageProcessor.from_pretrained(folder),
    )


def push(hub: MiniHub, folder: Path, name: str, home: Path) -> None:
    stated = ("--licence", "apache-2.0", "--trained-on", "bright squares=cc0-1.0", "--with-code")
    command = [sys.executable, "-m", "ifl_hub", "push", folder, name, *stated]
    done = subprocess.run(command, env=hub.environment(home), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def judged_without_the_library(hub: MiniHub, name: str, home: Path) -> dict:
    wanted = json.dumps({"ids": [name], "copy": name, "copied": str(home / "copied")})
    scripts = (HERE / "without_library.py", HERE / "hub_pull_without_library.py")
    done = subprocess.run(
        [sys.executable, "-I", *scripts, wanted], env=hub.environment(home), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])[name]


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium")
def test_a_model_is_trained_pushed_and_pulled_and_its_space_opened_in_a_browser(tmp_path):
    trained = train(tmp_path / "run", steps=4, validation_every=4, validation_samples=2)
    localize = localizer(trained)
    with MiniHub() as hub:
        push(hub, trained, "org/trained", tmp_path / "publisher")
        theirs = judged_without_the_library(hub, "org/trained", tmp_path / "stranger")
        ours = localize(np.random.default_rng(0).integers(0, 256, (70, 90, 3), np.uint8))
        assert theirs["score"] == pytest.approx(ours["score"], abs=1e-6)
        browse("org/trained", hub.environment(tmp_path / "space"), localize(SAMPLE), tmp_path)


def browse(model: str, environment: dict[str, str], expected: dict, folder: Path) -> None:
    """Everything that visitors of the Space may do; `expected` is what the model says of the sample."""
    served, files = folder / "served", folder / "files"
    expect.set_options(timeout=PATIENCE_MS)
    served.mkdir()
    files.mkdir()
    space = Space(model, served, environment)
    try:
        with sync_api.sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            visitors = Visitors(browser, space)
            a_picture(visitors, space, expected)
            what_cannot_be_done(visitors, space, files)
            examples_by_keyboard(visitors, space)
            another_model(visitors)
            many_pictures(visitors, files)
            faces(visitors, files)
            a_phone(visitors)
            browser.close()
        assert visitors.strangers == set()  # the page talks to its own server only
        assert visitors.failures == []
        assert list(served.glob("ifl-hub-demo-*/*"))
    finally:
        space.process.terminate()
        space.process.wait(60)
    left = [path for path in served.rglob("*") if path.suffix in (".jpg", ".png", ".zip", ".html")]
    assert left == [], "files of visitors outlive the server"
