"""Shows the page of a model on this computer, to try it: `signloom page` makes it for others.

Ctrl-C ends it. Other computers cannot open it unless --host says so; browsers give a page the camera only on localhost
and over https.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar

from signloom.commands.page import SiteOptions, site_of
from signloom.console import say
from signloom.errors import InputError

_MOST_PORT = 65_535


@dataclass(kw_only=True)
class Options(SiteOptions):
    """Options of `signloom serve`. The model may be a folder that `signloom page` wrote."""

    positionals: ClassVar[tuple[str, ...]] = ("model",)

    host: str = "127.0.0.1"
    """address to listen at; 0.0.0.0 opens the page to every computer that reaches this one"""
    port: int = 8000
    """port to listen at; 0: any that is free"""


def run(options: Options) -> int:
    """Returns the exit status 0 when somebody ended it."""
    from signloom.page.server import LOOPBACK, SiteServer, read_site
    from signloom.page.site import is_site

    if not 0 <= options.port <= _MOST_PORT:
        raise InputError(f"--port {options.port}: needed 0 to {_MOST_PORT:,}")
    if options.model.suffix == ".zip":
        raise InputError(f"{options.model}: an archive; unpack it, and give the folder")
    site = read_site(options.model) if is_site(options.model) else site_of(options)
    with SiteServer(site, options.host, options.port) as server:
        if options.host not in LOOPBACK:
            say(
                f"warning: every computer that reaches {options.host} can open this page. Browsers there give it no "
                "camera, because it is not https; videos work"
            )
        print(server.address, flush=True)
        say("Ctrl-C ends it")
        with suppress(KeyboardInterrupt):
            server.serve_forever()
    return 0
