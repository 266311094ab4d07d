"""The evidence report: says what is true, gives nothing away, and holds nothing that runs or is fetched."""

import base64
import dataclasses
import io
import json
import struct
import sys
from datetime import UTC, datetime
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image
from skimage.measure import label as connected
from skimage.measure import regionprops
from transformers.utils import logging

from ifl_hub import checkpoint_path
from ifl_hub.cli.main import main
from ifl_hub.image_processing.jpeg import read_jpeg_facts
from ifl_hub.reports import ModelFacts, evidence_report
from ifl_hub.reports.calibration import explain_score, wilson_interval
from ifl_hub.reports.embedding import LARGEST
from ifl_hub.reports.picture_facts import clean_text, read_picture_facts
from ifl_hub.reports.regions import find_regions
from tiny_model import write_model

VOID = {"meta", "img", "br"}
HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>'


class Page(HTMLParser):
    """A page taken apart: what a browser would run, fetch, follow and show."""

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.addresses, self.handlers, text = [], [], [], [], []
        self.handle_data = text.append
        self.feed(page)
        assert not self.open
        self.text = " ".join("".join(text).split())
        self.pictures = [Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))) for uri in self.addresses]

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.handle_data(" ")
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attributes:
            if name in ("src", "href", "srcset", "action", "data"):
                self.addresses.append(value)
            if name.startswith("on"):
                self.handlers.append(value)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def facts():
    return ModelFacts.read(checkpoint_path("safl-net-lite0"))


def encode(pixels, format="JPEG", **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format, **options)
    return file.getvalue()


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def result_of(heatmap, score=0.95, label="forged"):
    return {"label": label, "score": score, "heatmap": heatmap, "mask": Image.fromarray(heatmap > 0.5)}


def blob(height, width, top=10, left=20, rows=12, columns=30, value=0.75):
    heatmap = np.full((height, width), 0.125, np.float32)
    heatmap[top : top + rows, left : left + columns] = value
    return heatmap


def exif_with_everything():
    exif = Image.Exif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Model] = "Canon", "Canon EOS R6"
    exif[ExifTags.Base.Software] = HOSTILE
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.DateTime] = "2024:05:02 10:00:00"
    details = exif.get_ifd(ExifTags.IFD.Exif)
    details[ExifTags.Base.DateTimeOriginal] = "2024:05:01 12:33:10"
    details[ExifTags.Base.ExifImageWidth], details[ExifTags.Base.ExifImageHeight] = 6000, 4000
    details[ExifTags.Base.BodySerialNumber] = "SERIAL0815"
    details[ExifTags.Base.CameraOwnerName] = "Jane Roe"
    position = exif.get_ifd(ExifTags.IFD.GPSInfo)
    position.update({1: "N", 2: (48.0, 8.0, 17.0), 3: "E", 4: (11.0, 34.0, 31.0)})
    return exif


def exif_with_thumbnail(thumbnail):
    """A TIFF structure by hand: an empty first directory, a second one that points to a JPEG."""
    first = struct.pack("<2sHIHI", b"II", 42, 8, 0, 14)
    start = len(first) + 2 + 2 * 12 + 4
    second = struct.pack("<HHHIIHHIII", 2, 513, 4, 1, start, 514, 4, 1, len(thumbnail), 0)
    return b"Exif\0\0" + first + second + thumbnail


def test_it_holds_nothing_that_runs_or_is_fetched_whatever_names_and_metadata_say(facts):
    hostile = dataclasses.replace(facts, name=HOSTILE, metadata={**facts.metadata, "limits": [HOSTILE]})
    data = encode(noise(60, 80), exif=exif_with_everything())
    source = evidence_report(data, result_of(blob(80, 60)), hostile, name=HOSTILE + ".jpg", command=f"x {HOSTILE}")
    page = Page(source)
    assert not {"script", "link", "iframe", "object", "form", "base", "a"} & set(page.tags)
    assert page.handlers == []
    assert all(address.startswith("data:image/") for address in page.addresses)
    assert page.text.count(HOSTILE) >= 5  # title, heading, software, model, limit, command: shown as they are
    assert "default-src 'none'" in source
    assert "url(" not in source and "@import" not in source and "http://" not in source


def test_facts_about_people_are_only_said_to_be_there(facts):
    data = encode(noise(60, 80), exif=exif_with_everything())
    page = Page(evidence_report(data, result_of(blob(80, 60)), facts, name="x.jpg"))
    for secret in ("SERIAL0815", "Jane Roe", "48.0", "11.0", "34.0"):
        assert secret not in page.text
    assert "Position (GPS) present" in page.text
    assert "serial number of the camera, owner of the camera" in page.text
    assert "Canon EOS R6" in page.text and "Canon Canon" not in page.text
    assert "taken on 2024:05:01 12:33:10, and written again on 2024:05:02 10:00:00" in page.text
    assert "record 6000x4000 pixels, but it has 80x60" in page.text


def test_a_turned_photo_is_shown_upright_with_regions_where_they_are(facts):
    data = encode(noise(60, 80), exif=exif_with_everything())
    page = Page(evidence_report(data, result_of(blob(80, 60)), facts, name="x.jpg"))
    assert [picture.size for picture in page.pictures[:4]] == [(60, 80)] * 4
    mask = np.asarray(page.pictures[3])
    assert mask[10:22, 20:50].all() and np.count_nonzero(mask) == 12 * 30
    assert "1 7.50 % 360 20, 10 50, 22 0.75 0.75" in page.text
    assert "60x80 pixels" in page.text


def test_large_pictures_are_shown_small_and_the_file_stays_small(facts):
    heatmap = blob(1400, 2100)
    heatmap[::40, ::40] = 0.9  # thousands of specks
    page = evidence_report(encode(noise(1400, 2100), quality=95), result_of(heatmap), facts)
    assert len(page) < 4_000_000
    taken_apart = Page(page)
    assert max(max(picture.size) for picture in taken_apart.pictures) == LARGEST
    assert "smaller regions hold" in taken_apart.text and "shown smaller" in taken_apart.text


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 3000), (2600, 2)])
def test_any_shape_has_a_report(facts, height, width):
    everywhere = np.ones((height, width), np.float32)
    page = Page(evidence_report(encode(noise(height, width), "PNG"), result_of(everywhere), facts))
    assert "100.0 % of the picture is marked" in page.text
    assert "JPEG compression" not in page.text


def test_a_data_set_without_authentic_pictures_has_a_row_without_an_area(facts):
    known = dict(facts.metadata["scores"][0])
    name = facts.metadata["name"]
    known |= {"n_authentic": 0, "methods": {name: {"pixel_auc": 0.8, "pixel_f1": 0.4}}}
    alone = dataclasses.replace(facts, metadata={**facts.metadata, "scores": [known]})
    data = encode(noise(40, 50), "PNG")
    page = Page(evidence_report(data, result_of(np.zeros((40, 50), np.float32)), alone))
    assert "0 0.800 0.400 \N{EN DASH}" in page.text


def test_nothing_marked_and_nothing_known(facts):
    unknown = ModelFacts("mine", "00ff", facts.preprocessing)
    data = encode(noise(40, 50), "PNG")
    page = Page(evidence_report(data, result_of(np.zeros((40, 50), np.float32), 0.1, "authentic"), unknown))
    assert "No pixel is marked" in page.text and "Not called forged" in page.text
    assert "false-alarm rate is on record" in page.text and "ifl-hub evaluate" in page.text
    assert "The file carries no metadata" in page.text


def test_what_is_needed_to_check_it_is_there(facts):
    data = encode(noise(40, 50))
    when = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    page = Page(evidence_report(data, result_of(blob(40, 50)), facts, command="ifl-hub localize x.jpg", created=when))
    weights = facts.metadata["weights_sha256"]
    for fact in (
        read_picture_facts(data).sha256,
        weights,
        "tile_size=512",
        "ifl-hub localize x.jpg",
        "2026-01-02 03:04",
    ):
        assert fact in page.text
    for limit in facts.metadata["limits"]:
        assert limit in page.text


class TestCalibration:
    def test_rates_are_those_of_the_checkpoint(self, facts):
        point = facts.metadata["operating_point"]
        alarms = round(point["false_alarm_rate"] * point["n_authentic"])
        assert f"{alarms} of {point['n_authentic']} (" in " ".join(explain_score(0.9, facts))

    def test_rates_are_counted_and_explained(self, facts):
        point = {**facts.metadata["operating_point"], "false_alarm_rate": 12 / 112, "sensitivity": 155 / 288}
        known = dataclasses.replace(facts, metadata={"operating_point": {**point, "n_authentic": 112, "n_forged": 288}})
        forged, authentic = (" ".join(explain_score(score, known)) for score in (0.9, 0.1))
        assert "12 of 112 (11 %, 95 % interval 6 % to 18 %) authentic pictures" in forged
        assert "133 of 288 (46 %" in forged
        # 10 of 100 forged: 5.4 found; 90 authentic: 9.6 false alarms; 9.6 / 15.0 = 64 %
        assert "about 64 of 100 such words would be wrong" in forged
        assert "does not mean that the picture is authentic" in authentic

    def test_another_threshold_has_no_known_rate(self, facts):
        moved = dataclasses.replace(facts, preprocessing={**facts.preprocessing, "score_threshold": 0.4})
        text = " ".join(explain_score(0.5, moved))
        assert "no false-alarm rate is on record" in text and "112" not in text and "above 0.400" in text

    def test_a_useless_threshold_is_called_useless(self):
        text = " ".join(explain_score(0.99, ModelFacts.read(checkpoint_path("diff-forensics-small"))))
        assert "says nothing" in text

    @settings(max_examples=30)
    @given(st.integers(1, 500), st.data())
    def test_the_interval_holds_the_share(self, total, data):
        count = data.draw(st.integers(0, total))
        low, high = wilson_interval(count, total)
        assert -1e-9 <= low <= count / total + 1e-9 <= high + 2e-9 <= 1 + 1e-8
        # Its ends are the shares from which the observed one is 1.96 standard errors away.
        for end in (low, high):
            assert (count / total - end) ** 2 == pytest.approx(1.959964**2 * end * (1 - end) / total, abs=1e-9)


@settings(max_examples=40)
@given(st.integers(1, 24), st.integers(1, 24), st.floats(0, 1), st.integers(0, 5), st.integers(0, 2**32 - 1))
def test_regions_are_the_connected_parts(height, width, density, most, seed):
    rng = np.random.default_rng(seed)
    heatmap = rng.random((height, width), dtype=np.float32)
    mask = heatmap < density
    regions = find_regions(mask, heatmap, most)
    expected = regionprops(connected(mask, connectivity=2), intensity_image=heatmap)
    sizes = sorted((int(region.area) for region in expected), reverse=True)
    assert [region.pixels for region in regions.listed] == sizes[:most]
    assert (len(regions.listed) + regions.more, regions.more_pixels) == (len(expected), sum(sizes[most:]))
    by_box = {(*region.bbox[1::-1], *region.bbox[:1:-1]): region for region in expected}
    if len(by_box) == len(expected):  # two parts may share a box
        for region in regions.listed:
            same = by_box[region.box]
            assert (region.pixels, region.peak) == (same.area, pytest.approx(same.intensity_max))
            assert region.mean == pytest.approx(same.intensity_mean, rel=1e-5)


class TestJpegFacts:
    @settings(max_examples=30)
    @given(st.integers(1, 100), st.sampled_from(["4:4:4", "4:2:2", "4:2:0"]), st.booleans())
    def test_of_a_standard_encoder(self, quality, sampling, progressive):
        data = encode(noise(24, 24), quality=quality, subsampling=sampling, progressive=progressive)
        facts = read_jpeg_facts(Image.open(io.BytesIO(data)))
        expected = Image.open(io.BytesIO(data)).quantization
        assert facts.standard and (facts.sampling, facts.progressive) == (sampling, progressive)
        again = Image.open(io.BytesIO(encode(noise(24, 24), quality=facts.quality))).quantization
        assert again == expected  # the lowest qualities share tables
        assert [table.ravel().tolist() for table in facts.tables] == [list(expected[n]) for n in (0, 1)]

    def test_of_a_camera_with_tables_of_its_own(self):
        data = encode(noise(24, 24), qtables=[list(range(2, 66)), [9] * 64])
        facts = read_jpeg_facts(Image.open(io.BytesIO(data)))
        assert not facts.standard and facts.tables[0][0, 1] == 3

    def test_of_a_grey_jpeg_and_of_no_jpeg(self):
        grey = read_jpeg_facts(Image.open(io.BytesIO(encode(noise(24, 24)[..., 0], quality=80))))
        assert (grey.quality, grey.standard, grey.sampling) == (80, True, "grey")
        assert read_jpeg_facts(Image.open(io.BytesIO(encode(noise(24, 24), "PNG")))) is None


class TestPictureFacts:
    def test_the_thumbnail_of_the_file_beside_one_of_the_picture(self, facts):
        stored = np.zeros((30, 40, 3), np.uint8)
        data = encode(noise(120, 160), exif=exif_with_thumbnail(encode(stored)))
        assert np.asarray(read_picture_facts(data).thumbnail).max() <= 2
        page = Page(evidence_report(data, result_of(np.zeros((120, 160), np.float32)), facts))
        assert [picture.size for picture in page.pictures[-2:]] == [(40, 30), (40, 30)]
        assert np.asarray(page.pictures[-1]).std() > 10 > np.asarray(page.pictures[-2]).std()

    @settings(max_examples=40)
    @given(st.binary(max_size=200), st.booleans())
    def test_damaged_metadata_are_not_there(self, content, as_tiff):
        head = b"Exif\0\0" + (b"II*\0\x08\0\0\0" if as_tiff else b"")
        facts = read_picture_facts(encode(noise(8, 8), exif=head + content))
        assert facts.jpeg is not None and all(len(value) <= 200 for value in facts.metadata.values())

    def test_programs_name_themselves_in_xmp_and_in_text(self):
        xmp = b'<x xmp:CreatorTool="Editor 7"><stEvt:action/>trainedAlgorithmicMedia</x>'
        facts = read_picture_facts(encode(noise(8, 8), xmp=xmp))
        assert facts.metadata["Software"] == "Editor 7"
        assert any("generative model" in remark for remark in facts.remarks)

    def test_unseen_characters_are_not_shown(self):
        assert clean_text("a\u202eb\u200bc\x1b[0m\ud800" + "x" * 500) == "a b c [0m " + "x" * 149 + "…"


class TestCommand:
    @pytest.fixture(scope="class")
    def model(self, tmp_path_factory):
        return write_model(tmp_path_factory.mktemp("model"), tile_size=64, tile_overlap=16)

    @pytest.fixture
    def call(self, monkeypatch, capsys):
        verbosity = logging.get_verbosity()

        def run_here(*arguments):
            monkeypatch.setattr(sys, "argv", ["ifl-hub", *map(str, arguments)])
            with pytest.raises(SystemExit) as exit_:
                main()
            return exit_.value.code, capsys.readouterr()

        yield run_here
        logging.set_verbosity(verbosity)
        logging.enable_progress_bar()

    def test_a_folder_has_a_report_a_picture_and_one_of_all(self, tmp_path, model, call):
        photos, out = tmp_path / "photos", tmp_path / "out"
        (photos / "sub").mkdir(parents=True)
        Image.fromarray(noise(40, 56)).save(photos / "a.jpg")
        Image.fromarray(noise(48, 40, 1)).save(photos / "sub" / "b #1.png")
        (photos / "broken.jpg").write_bytes(b"no picture")
        code, printed = call("localize", photos, "--model", model, "--out", out, "--report")
        assert code == 1 and str(out / "report.html") in printed.out
        records = {r["name"]: r for r in map(json.loads, (out / "results.jsonl").read_text().splitlines())}
        overview = (out / "report.html").read_text()
        order = sorted(records, key=lambda name: -records[name]["score"])
        assert [overview.index(f">{name}</a>") for name in order] == sorted(overview.index(f">{n}</a>") for n in order)
        assert 'href="./sub/b%20%231.png.report.html"' in overview and "broken.jpg" in overview
        for name, record in records.items():
            page = (out / f"{name}.report.html").read_text()
            assert record["sha256"] in page and record["weights_sha256"] in page
            assert f"score {record['score']:.3f}" in page
            assert str(tmp_path) not in page + overview  # no folder of this machine

    def test_reports_come_from_stored_results_and_never_outlive_them(self, tmp_path, model, call):
        picture, out = tmp_path / "x.png", tmp_path / "out"
        Image.fromarray(noise(40, 56)).save(picture)
        arguments = ("localize", picture, "--model", model, "--out", out)
        call(*arguments)
        judged = (out / "x.png.mask.png").stat().st_mtime_ns
        code, printed = call(*arguments, "--report", "--json")
        assert code == 0 and json.loads(printed.out)["report"] == "x.png.report.html"
        assert (out / "x.png.report.html").is_file() and (out / "x.png.mask.png").stat().st_mtime_ns == judged
        assert not (out / "report.html").exists()
        Image.fromarray(noise(40, 56, 1)).save(picture)
        call(*arguments)
        assert not (out / "x.png.report.html").exists()
