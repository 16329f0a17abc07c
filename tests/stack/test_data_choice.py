"""Which data a demo takes, and that a download is whole or not there."""

import io
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from penchant.errors import DataError
from stack.data_choice import Choice, choose_data, download

CLOSED = "http://127.0.0.1:9/ml-latest-small.zip"


def archive(*names: str) -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as file:
        for name in names:
            file.writestr(name, "userId,movieId,rating,timestamp\n1,2,3,4\n")
    return body.getvalue()


@pytest.fixture
def served() -> Iterator[Callable[[bytes], str]]:
    """serve(body) -> URL of a server that answers with it."""
    servers = []

    def serve(body: bytes) -> str:
        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *arguments: object) -> None:
                return

        server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/ml-latest-small.zip"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def never(folder: Path) -> None:
    raise AssertionError("the generator was asked")


def write_generated(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "dataset.toml").write_text('name = "generated"\n')


def test_a_named_folder_is_taken_and_a_missing_one_refused(tmp_path: Path) -> None:
    said: list[str] = []
    assert choose_data(tmp_path, tmp_path / "cache", never, said.append) == Choice(tmp_path, "given")
    assert "as asked for" in said[0]
    with pytest.raises(DataError, match="no such folder or file"):
        choose_data(tmp_path / "none", tmp_path / "cache", never, said.append)


def test_what_was_downloaded_is_found_the_next_time(tmp_path: Path, served: Callable[[bytes], str]) -> None:
    url = served(archive("ml-latest-small/ratings.csv", "ml-latest-small/movies.csv", "ml-latest-small/../../evil"))
    said: list[str] = []
    assert choose_data(None, tmp_path / "cache", never, said.append, url).origin == "downloaded"
    assert sorted(p.name for p in (tmp_path / "cache" / "ml-latest-small").iterdir()) == [
        "evil", "movies.csv", "ratings.csv",
    ]  # fmt: skip
    assert not (tmp_path / "evil").exists()
    assert choose_data(None, tmp_path / "cache", never, said.append, CLOSED).origin == "found"


def test_without_a_network_the_generator_steps_in_and_says_so(tmp_path: Path) -> None:
    said: list[str] = []
    choice = choose_data(None, tmp_path, write_generated, said.append, CLOSED)
    assert choice == Choice(tmp_path / "generated", "generated")
    assert "the download failed (" in said[1]
    assert "built-in generator's, made now" in said[2]
    assert choose_data(None, tmp_path, never, said.append, CLOSED) == choice


@pytest.mark.parametrize(
    ("body", "said"),
    [(b"<html>", "is no zip"), (archive("other/ratings.csv"), "holds no ml-latest-small/ratings.csv")],
)
def test_a_bad_answer_leaves_nothing_behind(
    tmp_path: Path, served: Callable[[bytes], str], body: bytes, said: str
) -> None:
    with pytest.raises(OSError, match=said):
        download(served(body), tmp_path / "ml-latest-small")
    assert list(tmp_path.iterdir()) == []
