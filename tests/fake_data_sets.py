"""Tiny data sets in the layouts that people really have, with the quirks that really occur in them.

Every picture is 32x16 and every forged one is forged in its left half, whatever its mask looks like.
"""

import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 32, 16


@dataclass
class Expected:
    """What an import must make of a tree: (label, forgery type, group) by name below image/, and what it leaves out."""

    rows: dict[str, tuple[str, str, str]]
    skipped: list[str] = field(default_factory=list)
    splits: dict[str, str] = field(default_factory=dict)


def picture(path: Path, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(zlib.crc32(path.name.encode())).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    Image.fromarray(noise).save(path, **options)
    return path


def mask(path: Path, forged=255, authentic=0, width: int = WIDTH, height: int = HEIGHT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.zeros((height, width, 3), np.uint8)
    values[:] = authentic
    values[:, : width // 2] = forged
    grey = np.ndim(forged) == 0 and np.ndim(authentic) == 0
    options = {"quality": 95} if path.suffix.lower() in (".jpg", ".jpeg") else {}
    Image.fromarray(values[..., 0] if grey else values).save(path, **options)
    return path


def text(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def casia1(root: Path) -> Expected:
    tampered, truth = root / "CASIA 1.0 dataset/Modified Tp/Tp", root / "CASIA 1.0 groundtruth"
    for name in ("Au_ani_0001.jpg", "Au_pla_0005.jpg"):
        picture(root / "CASIA 1.0 dataset/Au" / name)
    picture(tampered / "Sp/Sp_D_CND_A_ani0001_pla0005_0281.jpg")
    mask(truth / "Sp/Sp_D_CND_A_ani0001_pla0005_0281_gt.png")
    picture(tampered / "CM/Sp_S_NNN_A_sec0056_sec0056_0012.JPG", format="JPEG")
    mask(truth / "CM/Sp_S_NNN_A_sec0056_sec0056_0012_gt.png", forged=(255, 255, 255))
    picture(tampered / "Sp/Sp_D_NRN_A_cha0011_sec0011_0542.jpg")  # this one really has no mask
    mask(truth / "Sp/Sp_D_CNN_A_art0024_ani0032_0268_gt.png")
    picture(root / "CASIA 1.0 dataset/Original Tp/Tp/Sp/Sp_D_CND_A_ani0001_pla0005_0281.jpg")
    text(tampered / "Thumbs.db", "")
    text(root / "__MACOSX/._Au_ani_0001.jpg", "")
    return Expected(
        {
            "Au_ani_0001.jpg": ("authentic", "none", "ani0001"),
            "Au_pla_0005.jpg": ("authentic", "none", "ani0001"),
            "Sp_D_CND_A_ani0001_pla0005_0281.jpg": ("forged", "splicing", "ani0001"),
            "Sp_S_NNN_A_sec0056_sec0056_0012.JPG": ("forged", "copy-move", "sec0056"),
        },
        ["no mask has its name", "a mask without a picture of its name"],
    )


def casia2(root: Path) -> Expected:
    picture(root / "Au/Au_ani_00018.bmp")
    picture(root / "Tp/Tp_D_CND_M_N_ani00018_sec00096_00138.tif")
    mask(root / "CASIA 2 Groundtruth/Tp_D_CND_M_N_ani00018_sec00096_00138_gt.png")
    picture(root / "Tp/Tp_S_CRN_S_N_art00059_art00059_10508.tif")
    mask(root / "CASIA 2 Groundtruth/Tp_S_CRN_S_N_art00059_art00059_10508_gt.png", width=HEIGHT, height=WIDTH)
    return Expected(
        {
            "Au_ani_00018.bmp": ("authentic", "none", "ani00018"),
            "Tp_D_CND_M_N_ani00018_sec00096_00138.tif": ("forged", "splicing", "ani00018"),
        },
        [f"its mask is {HEIGHT}x{WIDTH}, the picture {WIDTH}x{HEIGHT}"],
    )


def columbia(root: Path) -> Expected:
    green, red = (0, 200, 0), (200, 0, 0)
    picture(root / "4cam_auth/4cam_auth/canong3_02_sub_01.tif")
    mask(root / "4cam_auth/4cam_auth/edgemask/canong3_02_sub_01_edgemask.jpg", green, red)
    picture(root / "4cam_splc/canong3_canonxt_sub_01.tif")
    mask(root / "4cam_splc/edgemask/canong3_canonxt_sub_01_edgemask.jpg", green, red)
    mask(root / "4cam_splc/edgemask/canong3_canonxt_sub_01_edgemask_3.jpg", green, (0, 0, 255))
    picture(root / "4cam_splc/nikond70_kodakdcs330_sub_02.tif")
    mask(root / "4cam_splc/edgemask/nikond70_kodakdcs330_sub_02_edgemask.jpg", 255, 0)
    return Expected(
        {
            "canong3_02_sub_01.tif": ("authentic", "none", "canong3_02_sub_01"),
            "canong3_canonxt_sub_01.tif": ("forged", "splicing", "canong3_canonxt_sub_01"),
        },
        ["is not a mask of red and green"],
    )


def coverage(root: Path) -> Expected:
    for number in (1, 41):
        picture(root / f"image/{number}.tif")
        picture(root / f"image/{number}t.tif")
        for kind in ("copy", "forged", "paste"):
            mask(root / f"mask/{number}{kind}.tif", height=HEIGHT + (number == 41))
    return Expected(
        {
            "1.tif": ("authentic", "none", "1"),
            "1t.tif": ("forged", "copy-move", "1"),
            "41.tif": ("authentic", "none", "41"),
        },
        [f"its mask is {WIDTH}x{HEIGHT + 1}, the picture {WIDTH}x{HEIGHT}"],
    )


def imd2020(root: Path) -> Expected:
    picture(root / "IMD2020/1a1ogs/1a1ogs_orig.jpg")
    picture(root / "IMD2020/1a1ogs/c8tf5mq_0.png")
    mask(root / "IMD2020/1a1ogs/c8tf5mq_0_mask.png")
    picture(root / "IMD2020/z14/00030_fake.jpg")
    mask(root / "IMD2020/z14/00030_fake_mask.png", height=HEIGHT - 1)
    picture(root / "IMD2020/z14/c8tf5mq_0.png")  # the name of another folder's picture
    mask(root / "IMD2020/z14/c8tf5mq_0_mask.png")
    return Expected(
        {
            "1a1ogs/1a1ogs_orig.jpg": ("authentic", "none", "1a1ogs"),
            "1a1ogs/c8tf5mq_0.png": ("forged", "unknown", "1a1ogs"),
            "z14/c8tf5mq_0.png": ("forged", "unknown", "z14"),
        },
        [f"its mask is {WIDTH}x{HEIGHT - 1}, the picture {WIDTH}x{HEIGHT}"],
    )


def dso1(root: Path) -> Expected:
    picture(root / "tifs-database/DSO-1/normal-01.png")
    picture(root / "tifs-database/DSO-1/splicing-01.png")
    mask(root / "tifs-database/DSO-1-Fake-Images-Masks/splicing-01.png", forged=(0, 0, 0), authentic=(255, 255, 255))
    picture(root / "tifs-database/DSI-1/splicing-09.png")
    return Expected(
        {
            "normal-01.png": ("authentic", "none", "normal-01"),
            "splicing-01.png": ("forged", "splicing", "splicing-01"),
        }
    )


def korus(root: Path) -> Expected:
    rows = {}
    for camera in ("Canon_60D", "Nikon_D90"):
        picture(root / f"data-images/{camera}/pristine/DPP0012.TIF")
        picture(root / f"data-images/{camera}/tampered-realistic/DPP0012.TIF")
        mask(root / f"data-images/{camera}/ground-truth/DPP0012.PNG", forged=90)
        group = f"{camera.lower()}/dpp0012"
        rows[f"{camera}/pristine/DPP0012.TIF"] = ("authentic", "none", group)
        rows[f"{camera}/tampered-realistic/DPP0012.TIF"] = ("forged", "unknown", group)
    return Expected(rows)


def comofod(root: Path) -> Expected:
    for name in ("001_O.png", "001_F.png", "001_F_JC3.jpg", "001_O_NA1.png"):
        picture(root / name)
    mask(root / "001_B.png")
    mask(root / "001_M.png", (255, 0, 0), (0, 0, 0))
    return Expected(
        {
            "001_O.png": ("authentic", "none", "001"),
            "001_O_NA1.png": ("authentic", "none", "001"),
            "001_F.png": ("forged", "copy-move", "001"),
            "001_F_JC3.jpg": ("forged", "copy-move", "001"),
        }
    )


def defacto(root: Path) -> Expected:
    rows = {}
    for part, kind in (("splicing_1", "splicing"), ("copymove", "copy-move"), ("inpainting", "removal")):
        picture(root / f"{part}_img/img/0_000000000260.tif")
        mask(root / f"{part}_annotations/probe_mask/0_000000000260.jpg")
        mask(root / f"{part}_annotations/donor_mask/0_000000000260.tif", forged=0, authentic=255)
        text(root / f"{part}_annotations/graph/0_000000000260.json", "{}")
        rows[f"{part}_img/img/0_000000000260.tif"] = ("forged", kind, "000000000260")
    picture(root / "splicing_1_img/img/3_000000000999.tif")
    return Expected(rows, ["no mask has its name"])


def autosplice(root: Path) -> Expected:
    picture(root / "Authentic/40574.jpg")
    for folder in ("Forged_JPEG100", "Forged_JPEG75"):
        picture(root / folder / "40574_1.jpg")
    mask(root / "Mask/40574_mask.png")
    text(root / "Caption/40574.json", "{}")
    return Expected(
        {
            "Authentic/40574.jpg": ("authentic", "none", "40574"),
            "Forged_JPEG100/40574_1.jpg": ("forged", "inpainting", "40574"),
            "Forged_JPEG75/40574_1.jpg": ("forged", "inpainting", "40574"),
        }
    )


def fantastic_reality(root: Path) -> Expected:
    picture(root / "dataset/ColorRealImages/a b.jpg")
    picture(root / "dataset/ColorFakeImages/a b.jpg")
    instances = np.zeros((1, HEIGHT, WIDTH), np.int64)
    instances[:, :, : WIDTH // 2] = 3
    (root / "dataset/SegmentationFake").mkdir()
    np.savez_compressed(root / "dataset/SegmentationFake/a b.npz", instances)
    picture(root / "dataset/ColorFakeImages/broken.jpg")
    text(root / "dataset/SegmentationFake/broken.npz", "no archive")
    return Expected(
        {
            "ColorRealImages/a b.jpg": ("authentic", "none", "real a b"),
            "ColorFakeImages/a b.jpg": ("forged", "splicing", "fake a b"),
        },
        ["its mask cannot be used (File is not a zip file)"],
    )


def nist16(root: Path) -> Expected:
    """The mask of probe 0128 is named 3942, and a mask named 0128 belongs to another probe."""
    base = root / "NC2016_Test0613"
    for number in ("0128", "3942", "7777", "9001"):
        picture(base / f"probe/NC2016_{number}.jpg")
    mask(base / "reference/manipulation/mask/NC2016_3942.png", forged=0, authentic=255)
    mask(base / "reference/manipulation/mask/NC2016_0128.png", forged=0, authentic=255, height=HEIGHT + 3)
    columns = "TaskID|ProbeFileName|ProbeMaskFileName|IsTarget|IsManipulationTypeRemoval|IsManipulationTypeSplice|"
    lines = [
        columns + "IsManipulationTypeCopyClone|BaseFileName",
        "Manipulation|probe/NC2016_0128.jpg|reference/manipulation/mask/NC2016_3942.png|Y|N|Y|N|world/NC2016_3272.jpg",
        "Manipulation|probe/NC2016_3942.jpg|reference/manipulation/mask/NC2016_0128.png|Y|Y|N|Y|world/NC2016_1.jpg",
        "Manipulation|probe/NC2016_7777.jpg||N|N|N|N|",
        "Manipulation|probe/NC2016_9001.jpg||Y|N|N|N|world/NC2016_3272.jpg",
    ]
    text(base / "reference/manipulation/NC2016-manipulation-ref.csv", "\n".join(lines) + "\n")
    return Expected(
        {
            "probe/NC2016_0128.jpg": ("forged", "splicing", "world/NC2016_3272.jpg"),
            "probe/NC2016_7777.jpg": ("authentic", "none", "probe/NC2016_7777.jpg"),
        },
        [
            "no mask: the reference table names none, or it is not there",
            f"its mask is {WIDTH}x{HEIGHT + 3}, the picture {WIDTH}x{HEIGHT}",
        ],
    )


def openforensics(root: Path) -> Expected:
    left = [0, 0, WIDTH // 2 - 1, 0, WIDTH // 2 - 1, HEIGHT - 1, 0, HEIGHT - 1]
    right = [24, 0, 31, 0, 31, 8]
    for part in ("Train", "Test-Dev"):
        picture(root / f"Images/{part}/fake.jpg")
        picture(root / f"Images/{part}/real.jpg")
        names = ["fake.jpg", "real.jpg", "lost.jpg"]
        content = {
            "images": [{"id": i, "file_name": f"Images/{part}/{name}"} for i, name in enumerate(names)],
            "categories": [{"id": 0, "name": "Real"}, {"id": 1, "name": "Fake"}],
            "annotations": [
                {"image_id": 0, "category_id": 1, "segmentation": [left]},
                {"image_id": 0, "category_id": 0, "segmentation": [right]},
                {"image_id": 1, "category_id": 0, "segmentation": [left]},
            ],
        }
        text(root / f"{part}_poly.json", json.dumps(content))
    return Expected(
        {
            "Train/fake.jpg": ("forged", "face-swap", "Train/fake.jpg"),
            "Train/real.jpg": ("authentic", "none", "Train/real.jpg"),
            "Test-Dev/fake.jpg": ("forged", "face-swap", "Test-Dev/fake.jpg"),
            "Test-Dev/real.jpg": ("authentic", "none", "Test-Dev/real.jpg"),
        },
        ["annotated, but not there"] * 2,
        {"Train/fake.jpg": "train", "Test-Dev/real.jpg": "test"},
    )


def imdlbenco(root: Path) -> Expected:
    """Sorted, pictures are 10, 2, 3 and masks 10_gt, 11, 2: by position the second picture gets a stranger's mask."""
    for name in ("10.jpg", "2.JPG", "3.jpg"):
        picture(root / "Tp" / name, format="JPEG")
    for name in ("10_gt.png", "11.png", "2.png"):
        mask(root / "Gt" / name)
    picture(root / "Au/val 1.jpg")
    return Expected(
        {
            "Tp/10.jpg": ("forged", "unknown", "Tp/10.jpg"),
            "Tp/2.JPG": ("forged", "unknown", "Tp/2.JPG"),
            "Au/VAL 1.jpg": ("authentic", "none", "Au/val 1.jpg"),
        },
        ["no mask has its name", "a mask without a picture of its name"],
    )


def imdlbenco_json(root: Path) -> Expected:
    rows = [["Tp/a.jpg", "Gt/other name.png"], ["Au/b.jpg", "Negative"], ["Tp/lost.jpg", "Gt/lost.png"]]
    picture(root / "Tp/a.jpg"), mask(root / "Gt/other name.png"), picture(root / "Au/b.jpg")
    text(root / "train.json", json.dumps([*rows, ["ManiDataset", "more"]]))
    picture(root / "more/Tp/c.jpg"), mask(root / "more/Gt/c.png")
    return Expected(
        {
            "Tp/a.jpg": ("forged", "unknown", "Tp/a.jpg"),
            "Au/b.jpg": ("authentic", "none", "Au/b.jpg"),
            "more/Tp/c.jpg": ("forged", "unknown", "more/Tp/c.jpg"),
        },
        ["listed, but not there"],
    )


def cat_net(root: Path) -> Expected:
    picture(root / "Tp/Tp D 1.JPG", format="JPEG"), mask(root / "GT/Tp D 1_gt.png")
    picture(root / "Au/x.jpg")
    text(root / "CASIA_list.txt", "Tp/Tp D 1.jpg,GT/Tp D 1_gt.png\nAu/x.jpg,None\n")
    return Expected(
        {"Tp/Tp D 1.JPG": ("forged", "unknown", "Tp/Tp D 1.JPG"), "Au/x.jpg": ("authentic", "none", "Au/x.jpg")}
    )


def listed(root: Path) -> Expected:
    picture(root / "a.png"), mask(root / "am.png"), picture(root / "b.png"), mask(root / "bm.png", forged=0)
    text(root / "list.csv", "image,mask,group,forgery_type\na.png,am.png,g1,removal\nb.png,bm.png,g1,\n")
    return Expected({"a.png": ("forged", "removal", "g1"), "b.png": ("authentic", "none", "g1")})


def folders(root: Path) -> Expected:
    picture(root / "images/a.jpg"), picture(root / "images/b.jpg"), picture(root / "images/sub/c.jpg")
    mask(root / "masks/a.png"), mask(root / "masks/b_mask.png", forged=0)
    return Expected(
        {
            "a.jpg": ("forged", "unknown", "a.jpg"),
            "b.jpg": ("authentic", "none", "b.jpg"),
            "sub/c.jpg": ("authentic", "none", "sub/c.jpg"),
        }
    )


def imagefolder(root: Path) -> Expected:
    picture(root / "image/a.jpg"), mask(root / "mask/a.png"), picture(root / "authentic/b.jpg")
    rows = [
        {"file_name": "image/a.jpg", "mask_file_name": "mask/a.png", "label": "forged", "forgery_type": "removal"},
        {"file_name": "authentic/b.jpg", "mask_file_name": None, "label": "authentic", "mask_semantics": "none"},
    ]
    shared = {"group": "g", "source": "mine", "suggested_split": "test", "host": "h"}
    text(root / "metadata.jsonl", "\n".join(json.dumps(row | shared) for row in rows))
    return Expected(
        {"a.jpg": ("forged", "removal", "g"), "authentic/b.jpg": ("authentic", "none", "g")}, [], {"a.jpg": "test"}
    )


def faceforensics(root: Path) -> Expected:
    original, forged = "original_sequences/youtube/c23/faces", "manipulated_sequences"
    names = {
        f"{original}/000/0001.png": ("authentic", "none", "000"),
        f"{original}/003/0001.png": ("authentic", "none", "000"),
        f"{original}/010/0001.png": ("authentic", "none", "010"),
        f"{forged}/Deepfakes/c23/faces/000_003/0001.png": ("forged", "face-swap", "000"),
        f"{forged}/Face2Face/c23/faces/003_000/0001.png": ("forged", "reenactment", "000"),
        "original_sequences/actors/c23/faces/01__exit_room/1.png": ("authentic", "none", "actor 01"),
        f"{forged}/DeepFakeDetection/c23/faces/01_02__exit__YVGY8LOK/1.png": ("forged", "face-swap", "actor 01"),
    }
    for name in names:
        picture(root / name)
    mask(root / f"{forged}/Deepfakes/masks/000_003/0001.png")
    return Expected(names)


def celeb_df(root: Path) -> Expected:
    names = {
        "Celeb-real/frames/id0_0000/000.png": ("authentic", "none", "id0"),
        "Celeb-synthesis/frames/id0_id1_0000/000.png": ("forged", "face-swap", "id0"),
        "YouTube-real/00170/000.png": ("authentic", "none", "youtube 00170"),
    }
    for name in names:
        picture(root / name)
    text(root / "List_of_testing_videos.txt", "1 YouTube-real/00170.mp4\n0 Celeb-synthesis/id0_id1_0000.mp4\n")
    return Expected(names)


def dfdc(root: Path) -> Expected:
    part = root / "dfdc_train_part_0"
    for video in ("aaa", "bbb", "unknown"):
        picture(part / f"faces/{video}/0.png")
    content = {"aaa.mp4": {"label": "FAKE", "original": "bbb.mp4"}, "bbb.mp4": {"label": "REAL"}}
    text(part / "metadata.json", json.dumps(content))
    return Expected(
        {
            "dfdc_TRAIN_part_0/faces/aaa/0.png": ("forged", "face-swap", "bbb"),
            "dfdc_TRAIN_part_0/faces/bbb/0.png": ("authentic", "none", "bbb"),
        },
        ["no metadata.json above it names its video"],
    )


def deepfakebench(root: Path) -> Expected:
    folder = "FaceForensics++"
    real, fake = f"{folder}/original_sequences/c23/000/0.png", f"{folder}/manipulated_sequences/c23/000_003/0.png"
    picture(root / real), picture(root / fake)
    content = {
        "FaceForensics++": {
            "FF-real": {"val": {"c23": {"000": {"label": "FF-real", "frames": [real.replace("/", "\\")]}}}},
            "FF-NT": {"val": {"c23": {"000_003": {"label": "FF-NT", "frames": [fake, f"{folder}/lost.png"]}}}},
        }
    }
    text(root / "FaceForensics++.json", json.dumps(content))
    return Expected(
        {
            real: ("authentic", "none", "FaceForensics++/000"),
            fake: ("forged", "reenactment", "FaceForensics++/000"),
        },
        ["listed, but not there: put the JSON where its paths start"],
        {real: "validation"},
    )


TREES: dict[str, Callable[[Path], Expected]] = {
    "casia1": casia1,
    "casia2": casia2,
    "columbia": columbia,
    "coverage": coverage,
    "imd2020": imd2020,
    "dso1": dso1,
    "korus": korus,
    "comofod": comofod,
    "defacto": defacto,
    "autosplice": autosplice,
    "fantastic-reality": fantastic_reality,
    "nist16": nist16,
    "openforensics": openforensics,
    "imdlbenco": imdlbenco,
    "imdlbenco-json": imdlbenco_json,
    "cat-net": cat_net,
    "list": listed,
    "folders": folders,
    "imagefolder": imagefolder,
    "faceforensics": faceforensics,
    "celeb-df": celeb_df,
    "dfdc": dfdc,
    "deepfakebench": deepfakebench,
}
