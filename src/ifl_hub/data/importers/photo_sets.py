"""Data sets of forged photos whose file names say everything: what each name means, and how its masks are coloured.

Where a name does not say which photo was the host, a picture is a group of its own; the doctor's search for near
duplicates is what then finds leaks.
"""

from ..schema import UNKNOWN_FORGERY
from .layout import Layout, Masks, NamedFiles, Pictures

_ANY = r"(?:.*/)?"
_IMAGE = r"\.(?:jpe?g|png|tiff?|bmp|webp)"
_CASIA_TYPES = {"d": "splicing", "s": "copy-move"}
_DEFACTO_TYPES = {"splicing": "splicing", "copymove": "copy-move", "inpainting": "removal"}

# Tokens of a forged picture's name: D(ifferent) or S(ame) photo, kind of processing, two photos, running number. Mostly
# the first photo is the host, but in one splice of seven it is the donor: so the two are never parted.
# The "Original Tp" of version 1 holds the same pictures under names that its ground truth does not use.
CASIA_V1 = NamedFiles(
    pictures=(
        Pictures(_ANY + rf"(?P<name>Au_(?P<category>[a-z]+)_(?P<number>\d+){_IMAGE})", group="{category}{number}"),
        Pictures(
            _ANY
            + r"(?P<name>(?P<stem>Sp_(?P<type>[DS])_[^_/]+_[^_/]+_(?P<first>[^_/]+)_(?P<second>[^_/]+)_\d+)"
            + _IMAGE
            + ")",
            group="{first}",
            linked="{second}",
            forgery_type=_CASIA_TYPES,
            mask="{stem}",
        ),
    ),
    masks=(Masks(_ANY + rf"(?P<stem>Sp_[^/]+)_gt{_IMAGE}", key="{stem}"),),
    ignored=_ANY + r"Original Tp/.*",
)
CASIA_V2 = NamedFiles(
    pictures=(
        CASIA_V1.pictures[0],
        Pictures(
            _ANY
            + r"(?P<name>(?P<stem>Tp_(?P<type>[DS])_[^_/]+_[^_/]+_[^_/]+_(?P<first>[^_/]+)_(?P<second>[^_/]+)_\d+)"
            + _IMAGE
            + ")",
            group="{first}",
            linked="{second}",
            forgery_type=_CASIA_TYPES,
            mask="{stem}",
        ),
    ),
    masks=(Masks(_ANY + rf"(?P<stem>Tp_[^/]+)_gt{_IMAGE}", key="{stem}"),),
)
# Authentic pictures have edge masks too (of their segments), and so does every picture in a second, bluer version.
COLUMBIA = NamedFiles(
    pictures=(
        Pictures(_ANY + rf"4cam_auth/(?P<name>(?P<stem>[^/]+){_IMAGE})", group="{stem}"),
        Pictures(
            _ANY + rf"4cam_splc/(?P<name>(?P<stem>[^/]+){_IMAGE})",
            group="{stem}",
            forgery_type="splicing",
            mask="{stem}",
        ),
    ),
    masks=(Masks(_ANY + rf"4cam_splc/edgemask/(?P<stem>[^/]+)_edgemask{_IMAGE}", key="{stem}", rule="green"),),
    ignored=_ANY + r"(?:4cam_auth/edgemask/.*|edgemask/[^/]+_edgemask_3\.[a-z]+)",
)
# 1.tif is the original and 1t.tif its forgery; of three masks (copy: the origin, paste, forged) the last is the target.
COVERAGE = NamedFiles(
    pictures=(
        Pictures(_ANY + rf"image/(?P<name>(?P<number>\d+){_IMAGE})", group="{number}"),
        Pictures(
            _ANY + rf"image/(?P<name>(?P<number>\d+)t{_IMAGE})",
            group="{number}",
            forgery_type="copy-move",
            mask="{number}",
        ),
    ),
    masks=(Masks(_ANY + rf"mask/(?P<number>\d+)forged{_IMAGE}", key="{number}"),),
    ignored=_ANY + rf"mask/\d+(?:copy|paste){_IMAGE}",
)
# One folder a photo: its original and what people on the net made of it.
IMD2020 = NamedFiles(
    pictures=(
        Pictures(_ANY + rf"(?P<name>(?P<folder>[^/]+)/[^/]+_orig{_IMAGE})", group="{folder}"),
        Pictures(
            _ANY + rf"(?P<name>(?P<folder>[^/]+)/(?P<stem>(?![^/]+_mask\.)[^/]+){_IMAGE})",
            group="{folder}",
            forgery_type=UNKNOWN_FORGERY,
            mask="{folder}/{stem}",
        ),
    ),
    masks=(Masks(_ANY + rf"(?P<folder>[^/]+)/(?P<stem>[^/]+)_mask{_IMAGE}", key="{folder}/{stem}"),),
)
# Black is forged. DSI-1, in the same archive, has no masks.
DSO1 = NamedFiles(
    pictures=(
        Pictures(_ANY + rf"DSO-1/(?P<name>(?P<stem>normal-\d+){_IMAGE})", group="{stem}"),
        Pictures(
            _ANY + rf"DSO-1/(?P<name>(?P<stem>splicing-\d+){_IMAGE})",
            group="{stem}",
            forgery_type="splicing",
            mask="{stem}",
        ),
    ),
    masks=(Masks(_ANY + rf"DSO-1-Fake-Images-Masks/(?P<stem>splicing-\d+){_IMAGE}", key="{stem}", rule="black"),),
    ignored=_ANY + r"DSI-1[^/]*/.*",
)
# White marks what was changed on purpose, grey what changed on the way; both differ from the photo, so both are forged.
KORUS = NamedFiles(
    pictures=(
        Pictures(_ANY + rf"(?P<name>(?P<camera>[^/]+)/pristine/(?P<stem>[^/]+){_IMAGE})", group="{camera}/{stem}"),
        Pictures(
            _ANY + rf"(?P<name>(?P<camera>[^/]+)/tampered-realistic/(?P<stem>[^/]+){_IMAGE})",
            group="{camera}/{stem}",
            forgery_type=UNKNOWN_FORGERY,
            mask="{camera}/{stem}",
        ),
    ),
    masks=(
        Masks(_ANY + rf"(?P<camera>[^/]+)/ground-truth/(?P<stem>[^/]+){_IMAGE}", key="{camera}/{stem}", rule="any"),
    ),
)
# Original, Forged, Binary mask, coloured Mask; pictures also after post-processing (001_F_JC3.jpg), under one mask.
COMOFOD = NamedFiles(
    pictures=(
        Pictures(_ANY + rf"(?P<name>(?P<number>\d+)_O(?:_[A-Z]+\d+)?{_IMAGE})", group="{number}"),
        Pictures(
            _ANY + rf"(?P<name>(?P<number>\d+)_F(?:_[A-Z]+\d+)?{_IMAGE})",
            group="{number}",
            forgery_type="copy-move",
            mask="{number}",
        ),
    ),
    masks=(Masks(_ANY + rf"(?P<number>\d+)_B{_IMAGE}", key="{number}"),),
    ignored=_ANY + rf"\d+_M{_IMAGE}",
    mask_semantics="source+target",
)
# The number after the underscore is the COCO photo; the masks of donors and of the inpainting tool are not the target.
DEFACTO = NamedFiles(
    pictures=(
        Pictures(
            _ANY
            + r"(?P<name>(?P<part>(?P<type>splicing|copymove|inpainting)[^/]*)_img/img/(?P<stem>\d+_(?P<photo>\d+))"
            + _IMAGE
            + ")",
            group="{photo}",
            forgery_type=_DEFACTO_TYPES,
            mask="{part}/{stem}",
        ),
    ),
    masks=(Masks(_ANY + rf"(?P<part>[^/]+)_annotations/probe_mask/(?P<stem>[^/]+){_IMAGE}", key="{part}/{stem}"),),
    ignored=_ANY + r"[^/]+_annotations/(?!probe_mask/).*",
)
# One mask a photo, whatever DALL-E 2 was asked to paint there and at whatever JPEG quality it was saved.
AUTOSPLICE = NamedFiles(
    pictures=(
        Pictures(_ANY + rf"(?P<name>Authentic/(?P<photo>\d+){_IMAGE})", group="{photo}"),
        Pictures(
            _ANY + rf"(?P<name>Forged_JPEG\d+/(?P<photo>\d+)_\d+{_IMAGE})",
            group="{photo}",
            forgery_type="inpainting",
            mask="{photo}",
        ),
    ),
    masks=(Masks(_ANY + rf"Mask/(?P<photo>\d+)_mask{_IMAGE}", key="{photo}"),),
    ignored=_ANY + r"Caption/.*",
)
# Masks are arrays (.npz) whose values number the pasted objects.
FANTASTIC_REALITY = NamedFiles(
    pictures=(
        Pictures(_ANY + rf"(?P<name>ColorRealImages/(?P<stem>[^/]+){_IMAGE})", group="real {stem}"),
        Pictures(
            _ANY + rf"(?P<name>ColorFakeImages/(?P<stem>[^/]+){_IMAGE})",
            group="fake {stem}",
            forgery_type="splicing",
            mask="{stem}",
        ),
    ),
    masks=(Masks(_ANY + r"SegmentationFake/(?P<stem>[^/]+)\.(?:npz|png)", key="{stem}", rule="any"),),
    ignored=_ANY + r"(?:SegmentationReal|Instance[^/]*)/.*",
)

PHOTO_SETS = (
    Layout("casia1", "CASIA v1", "Au_ani_0001.jpg, Sp_…_0281.jpg and the ground truth Sp_…_0281_gt.png", CASIA_V1),
    Layout("casia2", "CASIA v2", "Au_ani_00001.jpg, Tp_…_00148.tif and the ground truth Tp_…_00148_gt.png", CASIA_V2),
    Layout("columbia", "Columbia Uncompressed", "4cam_auth/, 4cam_splc/ and 4cam_splc/edgemask/", COLUMBIA),
    Layout("coverage", "COVERAGE", "image/1.tif, image/1t.tif and mask/1forged.tif", COVERAGE),
    Layout("imd2020", "IMD2020, real-life manipulated", "ID/ID_orig.jpg, ID/NAME.png and ID/NAME_mask.png", IMD2020),
    Layout("dso1", "DSO-1", "DSO-1/splicing-01.png and DSO-1-Fake-Images-Masks/splicing-01.png", DSO1),
    Layout("korus", "Realistic Tampering (Korus)", "CAMERA/pristine, tampered-realistic and ground-truth", KORUS),
    Layout("comofod", "CoMoFoD", "001_O.png, 001_F.png and 001_B.png", COMOFOD),
    Layout("defacto", "DEFACTO", "splicing_1_img/img/ and splicing_1_annotations/probe_mask/", DEFACTO),
    Layout("autosplice", "AutoSplice", "Authentic/1.jpg, Forged_JPEG100/1_0.jpg and Mask/1_mask.png", AUTOSPLICE),
    Layout("fantastic-reality", "FantasticReality", "ColorFakeImages/, SegmentationFake/*.npz", FANTASTIC_REALITY),
)
