"""How pip reaches its index on this machine, for builds of images, which know nothing of this machine."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

#: What tells pip where to go. Others, such as find-links, name files of this machine.
_OPTIONS: Final = (
    "index-url",
    "extra-index-url",
    "trusted-host",
    "proxy",
    "timeout",
    "retries",
)
_LINE: Final = re.compile(r"(?P<section>.*)\.(?P<option>[a-z-]+)='(?P<value>.*)'")
_CERTIFICATES: Final = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")


def pip_conf() -> str:
    """Return a pip.conf with what this machine's pip is told about its index; may hold a password."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    )
    return parse_pip_config(listed.stdout)


def parse_pip_config(listed: str) -> str:
    r"""Return a pip.conf with the options of `pip config list` that hold on any machine.

    >>> print(parse_pip_config("global.cert='/ca.pem'\nglobal.timeout='9'\n:env:.timeout='60'"), end="")
    [global]
    timeout = 60
    """
    found: dict[str, str] = {}
    # The environment wins over files, whatever the order in which they are listed.
    for line in sorted(listed.splitlines(), key=lambda line: line.startswith(":env:")):
        match = _LINE.fullmatch(line.strip())
        if match and match["option"] in _OPTIONS:
            found[match["option"]] = match["value"].encode().decode("unicode_escape")
    return "[global]\n" + "".join(f"{option} = {value}\n" for option, value in found.items())


def certificates(environ: Mapping[str, str]) -> bytes:
    """Return the certificates that pip is told to trust here, as PEM; nothing if it is told none."""
    for variable in _CERTIFICATES:
        named = environ.get(variable)
        if named and Path(named).is_file():
            return Path(named).read_bytes()
    return b""
