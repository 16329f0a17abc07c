"""Which data: the folder named, MovieLens where it lies, the public download, or the built-in generator."""

import io
import shutil
import threading
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from penchant.errors import DataError
from stack.layout import ROOT

NAME = "ml-latest-small"
URL = f"https://files.grouplens.org/datasets/movielens/{NAME}.zip"
CONNECT_S = 5.0
DOWNLOAD_S = 60.0
DOWNLOAD_BYTES = 64 << 20
GENERATED = ("--users", "2000", "--items", "1500", "--events", "100000", "--seed", "1")
"""About as much as MovieLens latest-small."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A dataset and where it came from, in a word: given, found, downloaded or generated."""

    folder: Path
    origin: str


def choose_data(
    wanted: Path | None, cache: Path, generate: Callable[[Path], None], say: Callable[[str], None], url: str = URL
) -> Choice:
    """The first there is of what the module names. generate fills a folder; say is told what was chosen and why.

    Raises DataError if a folder was named that is not there.
    """
    if wanted is not None:
        if not wanted.exists():
            raise DataError(str(wanted), "no such folder or file: name one with dataset.toml, MovieLens or sequences")
        say(f"data: {wanted}, as asked for")
        return Choice(wanted.resolve(), "given")
    for folder in (ROOT / "data" / NAME, cache / NAME):
        if (folder / "ratings.csv").is_file():
            say(f"data: MovieLens {NAME}, found in {folder}")
            return Choice(folder, "found")
    generated = cache / "generated"
    try:
        say(f"data: no folder named and no data/{NAME}; trying {url} for {CONNECT_S:g} s")
        download(url, cache / NAME)
        say(f"data: MovieLens {NAME}, downloaded to {cache / NAME}")
        return Choice(cache / NAME, "downloaded")
    except OSError as error:
        say(f"data: the download failed ({error})")
    if not (generated / "dataset.toml").is_file():
        shutil.rmtree(generated, ignore_errors=True)
        say("data: the built-in generator's, made now")
        generate(generated)
    else:
        say(f"data: the built-in generator's, found in {generated}")
    return Choice(generated, "generated")


def download(url: str, folder: Path, connect_s: float = CONNECT_S, total_s: float = DOWNLOAD_S) -> None:
    """Fetch a zip that holds one folder, and put that folder in place whole. Raises OSError."""
    with zipfile.ZipFile(io.BytesIO(_fetch(url, connect_s, total_s))) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
        if not any(name == f"{folder.name}/ratings.csv" for name in names):
            raise OSError(f"{url} holds no {folder.name}/ratings.csv")
        folder.parent.mkdir(parents=True, exist_ok=True)
        half = folder.parent / f".{folder.name}.part"
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir()
        for name in names:  # by their last part alone: a name in an archive may point anywhere
            (half / Path(name).name).write_bytes(archive.read(name))
    shutil.rmtree(folder, ignore_errors=True)
    half.replace(folder)


def _fetch(url: str, connect_s: float, total_s: float) -> bytes:
    """In a thread that is left behind if it hangs: looking up a name has no time-out of its own."""
    opened, done = threading.Event(), threading.Event()
    found: list[bytes] = []
    failed: list[Exception] = []

    def work() -> None:
        try:
            with urllib.request.urlopen(url, timeout=connect_s) as answer:
                opened.set()
                body = answer.read(DOWNLOAD_BYTES + 1)
                if len(body) > DOWNLOAD_BYTES or not zipfile.is_zipfile(io.BytesIO(body)):
                    raise OSError("the answer is no zip of the expected size")
                found.append(body)
        except Exception as error:
            failed.append(error)
        finally:
            opened.set()
            done.set()

    threading.Thread(target=work, name="download", daemon=True).start()
    if not opened.wait(connect_s + 1.0):
        raise OSError(f"no answer within {connect_s:g} s")
    if not done.wait(total_s):
        raise OSError(f"not finished within {total_s:g} s")
    if failed:
        reason = failed[0].reason if isinstance(failed[0], urllib.error.URLError) else failed[0]
        raise OSError(str(reason))
    return found[0]
