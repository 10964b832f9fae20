"""Serves a site for trying it, with the headers that hosts should send."""

from __future__ import annotations

from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from signloom.errors import InputError, listed
from signloom.page.headers import HEADERS, OTHER_TYPE, TYPES
from signloom.page.site import FILES, Site, listed_in

LOOPBACK = ("127.0.0.1", "::1", "localhost")


class SiteServer(ThreadingHTTPServer):
    """Answers with the files of a site and nothing else: they are in memory, so no path leads elsewhere.

    Raises InputError if the address cannot be used.
    """

    daemon_threads = True

    def __init__(self, site: Site, host: str, port: int) -> None:
        self.files = site.files
        try:
            super().__init__((host, port), _Handler)
        except (OSError, OverflowError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise InputError(f"--host {host} --port {port}: cannot be used ({reason}); choose another") from None

    @property
    def address(self) -> str:
        """The address of the page on this computer."""
        host = str(self.server_address[0])
        name = "localhost" if host in ("127.0.0.1", "0.0.0.0") else host
        return f"http://{name}:{self.server_address[1]}/"


def read_site(folder: Path) -> Site:
    """Returns the site that `signloom page` wrote into a folder. Raises InputError if files of it are missing."""
    missing = [name for name in listed_in(folder) if not (folder / name).is_file()]
    if missing:
        raise InputError(f"{folder}: lacks {listed(missing)}; make the page again with 'signloom page'")
    paths = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    names = {path.relative_to(folder).as_posix(): path for path in paths}
    return Site({name: path.read_bytes() for name, path in names.items() if name != FILES and not _is_hidden(name)})


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in PurePosixPath(name).parts)


class _Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD."""

    server: SiteServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "signloom", ""

    def do_GET(self) -> None:
        content = self._head()
        if content is not None:
            self.wfile.write(content)

    def do_HEAD(self) -> None:
        self._head()

    def _head(self) -> bytes | None:
        """Sends status and headers; returns the content of a file that exists."""
        name = unquote(urlsplit(self.path).path).removeprefix("/") or "index.html"
        content = self.server.files.get(name)
        if content is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return None
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", TYPES.get(PurePosixPath(name).suffix, OTHER_TYPE))
        self.send_header("Content-Length", str(len(content)))
        for header, value in HEADERS.items():
            self.send_header(header, value)
        self.end_headers()
        return content

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing: a page has dozens of files."""
