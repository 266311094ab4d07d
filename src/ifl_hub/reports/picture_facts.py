"""What a picture file tells beside its pixels: format, metadata, traces of programs, the camera's thumbnail.

Everything here comes from whoever made the file. So strings are cut and freed of control characters, nothing is parsed
as XML, and what could tell where or who somebody is (position, owner, serial numbers) is only said to be there.
"""

import hashlib
import io
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from PIL import ExifTags, Image, ImageCms

from ..image_processing.jpeg import JpegFacts, read_jpeg_facts
from ..image_processing.loading import UPRIGHT, open_picture

_LONGEST = 160  # characters of one value
_MODES = {"1": "black and white", "L": "grey", "P": "palette", "RGB": "RGB", "RGBA": "RGB with transparency"}
_DATES = {
    "Taken": ExifTags.Base.DateTimeOriginal,
    "Digitized": ExifTags.Base.DateTimeDigitized,
    "File changed, as recorded": ExifTags.Base.DateTime,
}
_PRIVATE = {
    "serial number of the camera": ExifTags.Base.BodySerialNumber,
    "serial number of the lens": ExifTags.Base.LensSerialNumber,
    "owner of the camera": ExifTags.Base.CameraOwnerName,
    "artist": ExifTags.Base.Artist,
}


@dataclass(frozen=True)
class PictureFacts:
    """The facts of one file, ready to print.

    Args:
        sha256: Of the file.
        file: What the file is, by name of the fact.
        metadata: What was recorded in it, by name of the fact; empty if nothing was.
        remarks: What a reader should notice, a sentence each.
        thumbnail: The small picture that a camera or program stored beside the large one, upright.
        jpeg: None for other formats.
    """

    sha256: str
    file: Mapping[str, str]
    metadata: Mapping[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    thumbnail: Image.Image | None = None
    jpeg: JpegFacts | None = None


def read_picture_facts(data: bytes) -> PictureFacts:
    """Read the facts of an encoded picture.

    Args:
        data: The file's bytes.

    Raises:
        ImageLoadError: If it is no picture.

    Example:
        >>> file = io.BytesIO()
        >>> Image.new("RGB", (30, 20)).save(file, "PNG")
        >>> read_picture_facts(file.getvalue()).file["Stored size"]
        '30x20 pixels (0.0 megapixels)'
    """
    image = open_picture(data, "picture")
    exif = _Exif(image)
    file = {
        "Format": str(image.format),
        "File size": f"{len(data):,} bytes",
        "Stored size": f"{image.width}x{image.height} pixels ({image.width * image.height / 1e6:.1f} megapixels)",
        "Colours": _MODES.get(image.mode, image.mode),
        "Colour profile": _colour_profile(image.info.get("icc_profile")),
    }
    metadata = {name: value for name, value in _metadata(image, exif, data) if value}
    return PictureFacts(
        sha256=hashlib.sha256(data).hexdigest(),
        file={name: value for name, value in file.items() if value},
        metadata=metadata,
        remarks=tuple(_remarks(image, exif, metadata)),
        thumbnail=exif.thumbnail(),
        jpeg=read_jpeg_facts(image),
    )


def clean_text(value: Any) -> str:
    r"""One line of visible characters: no control or direction marks, no halves of characters, not too long.

    Example:
        >>> clean_text("Camera\x00\u202egpj.exe ")
        'Camera gpj.exe'
    """
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    text = "".join(" " if unicodedata.category(letter) in ("Cc", "Cf", "Cs") else letter for letter in text)
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


class _Exif:
    """EXIF that may be damaged: what cannot be read is not there."""

    def __init__(self, image: Image.Image) -> None:
        self._raw = image.info.get("exif", b"")
        self.main: Mapping[int, Any] = {}
        self._ifds: dict[ExifTags.IFD, Mapping[int, Any]] = {}
        try:
            exif = image.getexif()
            self.main = dict(exif)
            self._raw = image.info.get("exif", b"")  # PNG may carry it at its end
        except Exception:  # damaged metadata make Pillow raise nearly anything
            return
        for ifd in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo, ExifTags.IFD.IFD1):
            try:
                self._ifds[ifd] = dict(exif.get_ifd(ifd))
            except Exception:
                continue

    def get(self, tag: int) -> Any:
        return self.main.get(tag, self._ifds.get(ExifTags.IFD.Exif, {}).get(tag))

    def text(self, *tags: int) -> str:
        """The tags' values as one line; a word that begins the next one as well is said once."""
        words = [clean_text(value) for value in map(self.get, tags) if value]
        if len(words) == 2 and words[1].lower().startswith(words[0].lower()):
            words = words[1:]
        return " ".join(words)

    @property
    def has_position(self) -> bool:
        return any(tag in self._ifds.get(ExifTags.IFD.GPSInfo, {}) for tag in (2, 4))

    def thumbnail(self) -> Image.Image | None:
        """The thumbnail of the second directory, turned as the photo is."""
        ifd = self._ifds.get(ExifTags.IFD.IFD1, {})
        start, length = (ifd.get(tag) for tag in (ExifTags.Base.JpegIFOffset, ExifTags.Base.JpegIFByteCount))
        try:
            data = self._raw.removeprefix(b"Exif\x00\x00")[start : start + length]
            small = open_picture(data, "thumbnail").convert("RGB")
            turn = UPRIGHT.get(self.get(ExifTags.Base.Orientation))
            return small if turn is None else small.transpose(turn)
        except Exception:  # none, or a damaged one
            return None


def _metadata(image: Image.Image, exif: _Exif, data: bytes) -> Iterator[tuple[str, str]]:
    texts = {name: value for name, value in image.info.items() if isinstance(value, str)}
    xmp = _xmp(image)
    yield "Camera", exif.text(ExifTags.Base.Make, ExifTags.Base.Model)
    yield "Lens", exif.text(ExifTags.Base.LensModel)
    programs = [exif.text(tag) for tag in (ExifTags.Base.Software, ExifTags.Base.ProcessingSoftware)]
    programs += [clean_text(texts.get("Software", "")), _xmp_value(xmp, "xmp:CreatorTool")]
    yield "Software", "; ".join(dict.fromkeys(filter(None, programs)))
    for name, tag in _DATES.items():
        yield name, exif.text(tag)
    yield "Orientation", "" if exif.get(ExifTags.Base.Orientation) not in UPRIGHT else "turned upright for this report"
    steps = xmp.count("stEvt:action")
    yield "Editing history (XMP)", f"{steps} steps recorded" if steps else ""
    yield "Position (GPS)", "present, not shown: it may tell where somebody lives" if exif.has_position else ""
    private = [name for name, tag in _PRIVATE.items() if exif.get(tag)]
    yield "Personal", f"present, not shown: {', '.join(private)}" if private else ""
    if b"jumb" in data and b"c2pa" in data:
        yield "Content Credentials (C2PA)", "present, not verified here: check them with a C2PA tool"
    if image.format == "PNG" and texts:
        names = [clean_text(name) for name in texts if not name.startswith("XML:")]
        yield "Text chunks", clean_text(", ".join(names))
    blocks = {"exif": "EXIF", "xmp": "XMP", "photoshop": "Photoshop/IPTC", "comment": "comment"}
    yield "Blocks", ", ".join(label for key, label in blocks.items() if image.info.get(key))


def _xmp(image: Image.Image) -> str:
    xmp = image.info.get("xmp", b"")
    return xmp.decode("utf-8", "replace") if isinstance(xmp, bytes) else str(xmp)


def _xmp_value(xmp: str, name: str) -> str:
    """An attribute's or an element's text, read without parsing XML."""
    found = re.search(rf"""{name}\s*(?:=\s*["']([^"'<>]{{1,200}})|>([^<>]{{1,200}})<)""", xmp)
    return clean_text(found[1] or found[2]) if found else ""


def _remarks(image: Image.Image, exif: _Exif, metadata: Mapping[str, str]) -> Iterator[str]:
    if not metadata:
        yield "The file carries no metadata. That is usual for what social networks, messengers and screenshots give."
    taken, changed = (exif.text(_DATES[name]) for name in ("Taken", "File changed, as recorded"))
    if taken and changed and taken != changed:
        yield f"It was taken on {taken}, and written again on {changed}, as its metadata say."
    recorded = exif.get(ExifTags.Base.ExifImageWidth), exif.get(ExifTags.Base.ExifImageHeight)
    if all(isinstance(side, int) and side > 0 for side in recorded) and sorted(recorded) != sorted(image.size):
        yield (
            f"Its metadata record {recorded[0]}x{recorded[1]} pixels, but it has {image.width}x{image.height}: "
            "it was cropped or resized after they were written."
        )
    if "trainedAlgorithmicMedia" in _xmp(image):
        yield "Its metadata say that it was made, in whole or in part, by a generative model."
    if {"parameters", "prompt", "workflow"} & image.info.keys():
        yield "It holds text chunks as programs for generated pictures write them."


def _colour_profile(profile: bytes | None) -> str:
    if not profile:
        return "none"
    try:
        return clean_text(ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile))))
    except Exception:  # damaged, or Pillow without a colour engine
        return f"{len(profile):,} bytes"
