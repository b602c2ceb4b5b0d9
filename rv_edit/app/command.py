"""``rv-edit serve``: options, then the service. Nothing heavy is imported before the options are known to be good."""

from __future__ import annotations

import difflib
import logging
import math
import re
import socket
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rv_edit.composing import compose_parts, conf_dir
from rv_edit.errors import ConfigError
from rv_edit.quiet import quieten_libraries

if TYPE_CHECKING:
    from rv_edit.app.service import Service
    from rv_edit.app.settings import ServeSettings
    from rv_edit.app.upstream import UpstreamClient

USAGE = """usage: rv-edit serve [option=value ...]

Answer questions about pictures over HTTP, with edits that people make while it runs.

  rv-edit serve                                  the model of conf/config.yaml, on this machine alone
  rv-edit serve edits=my_edits port=9000         saved edits, with the model they were made to
  rv-edit serve model=<folder or hub id> model.key_space=<key_space.json> device=cuda
  rv-edit serve host=0.0.0.0                     for others too: prints where the key is that they need
  rv-edit serve upstream.url=http://127.0.0.1:8001/v1      another server answers, corrected by the edits here

Options of models and editors go as on the command line of a run, e.g. editor.codebook.k=3. Those of the service:

"""

_UNKNOWN = re.compile(r"Could not override '(?:serve\.)?([\w.]+)'")


def main(arguments: Sequence[str]) -> None:
    """Serve until interrupted.

    Raises:
        ConfigError: an option, the model, the edits or the data folder cannot be used.
    """
    if any(argument in ("-h", "--help") for argument in arguments):
        sys.stdout.write(USAGE + (conf_dir() / "serve" / "default.yaml").read_text(encoding="utf-8"))
        return
    settings = parse(arguments)
    try:
        import uvicorn

        from rv_edit.app.server import create_app
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"serve needs {error.name}: pip install 'rv-edit[serve]', "
            "or in a checkout pip install -c constraints.txt -e '.[serve]'"
        ) from error
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    quieten_libraries()
    check_free(settings.host, settings.port)
    service, upstream = build(settings)
    config = uvicorn.Config(
        create_app(service, upstream),
        host=settings.host,
        port=settings.port,
        access_log=False,
        log_level="info",
        timeout_keep_alive=settings.keep_alive,
        timeout_graceful_shutdown=math.ceil(settings.seconds),  # a client that sends half a request could hold it up
    )
    try:
        uvicorn.Server(config).run()
    except KeyboardInterrupt:
        return  # it has ended what was under way, then passed the signal on
    except SystemExit as error:  # taken meanwhile; what uvicorn says of it it has logged
        raise ConfigError(f"{settings.host}:{settings.port}: cannot be listened on; choose another port=") from error


def check_free(host: str, port: int) -> None:
    """Try an address before anything is loaded or written.

    Raises:
        ConfigError: it cannot be listened on.
    """
    try:
        (kind, sort, protocol, _, address), *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        with socket.socket(kind, sort, protocol) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as uvicorn does: a port just left is free
            tried.bind(address)
    except OSError as error:
        where = f"{host}:{port}: cannot be listened on ({error.strerror or error})"
        raise ConfigError(f"{where}; choose another port= or host=") from error


def parse(arguments: Sequence[str]) -> ServeSettings:
    """Command-line options, checked.

    Raises:
        ConfigError: one that cannot be used.
    """
    from omegaconf import OmegaConf

    from rv_edit.app.settings import read_settings

    there = OmegaConf.load(conf_dir() / "serve" / "default.yaml")
    known = {str(name) for name in there}
    ours, others = ["serve=default"], []
    for argument in arguments:
        name, equals, _ = argument.partition("=")
        if not equals:
            raise ConfigError(f"serve: {argument!r}; options are given as name=value, see rv-edit serve --help")
        first = name.lstrip("+~").partition(".")[0]
        # `model=` names a model here, of any kind; `model.…` are options of models.
        if first in known and not (first == "model" and "." in name):
            ours.append(f"serve.{argument}")
        else:
            others.append(argument)
    try:
        options = compose_parts([*ours, *others], ("serve", "model"))
    except ConfigError as error:
        if (mistyped := _UNKNOWN.search(str(error))) is None:
            raise
        alike = difflib.get_close_matches(
            mistyped.group(1), [*known, *(f"upstream.{one}" for one in there.upstream)], n=1
        )
        told = f"; is it {alike[0]}?" if alike else ""
        raise ConfigError(
            f"serve: no option {mistyped.group(1)!r}{told}; rv-edit serve --help lists those of the service"
        ) from error
    settings = read_settings(options["serve"], others)
    default = options["model"]["name"] if settings.model is None and settings.edits is None else None
    return settings if default is None else read_settings({**options["serve"], "model": default}, others)


def build(settings: ServeSettings) -> tuple[Service, UpstreamClient | None]:
    """Load the model and the edits, and open the data folder.

    Raises:
        ConfigError: any of them cannot be used.
    """
    from rv_edit.api import EditedVLM
    from rv_edit.app.examples import place_of_examples, read_examples
    from rv_edit.app.keys import load_keys
    from rv_edit.app.service import Service
    from rv_edit.app.upstream import UpstreamClient

    log = logging.getLogger("rv_edit.serve")
    keys, file = load_keys(settings)
    name, edits = settings.model or settings.edits, settings.edits if settings.model else None
    assert name is not None
    vlm = EditedVLM.from_pretrained(name, edits=edits, device=settings.device, overrides=settings.overrides)
    examples = read_examples(place_of_examples(settings.examples, vlm.base.option))
    service = Service(vlm, settings, keys, examples)
    torn = service.keeper.torn
    if torn is not None:
        log.warning(
            "the journal's last line was torn (%d bytes, kept in %s): nobody was told of it", torn.size, torn.kept
        )
    log.info("%s with %d edits; its journal is %s", service.name, len(vlm.state.ids), service.keeper.journal.path)
    if file is not None:
        log.info("requests need a key; they are in %s", file)
    upstream = UpstreamClient(settings.upstream) if settings.upstream.url is not None else None
    return service, upstream
