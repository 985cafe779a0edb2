"""What commands have in common that run a model until they are told to stop."""

from __future__ import annotations

import os

from schemas.errors import SetupError
from sortline.console import messages, warn
from sortline.settings import SortlineSettings, read_settings, unknown_variables


def settings_to_run(**overrides: object) -> tuple[SortlineSettings, str]:
    """Return the settings, as `read_settings` does, and the model; print them, and warn of unknown variables.

    Raises SetupError if a setting is wrong or no model is named.
    """
    settings = read_settings(**overrides)
    if settings.model is None:
        raise SetupError("option --model: give the folder of a model bundle (`sortline train` writes one)")
    for sentence in unknown_variables(os.environ):
        warn(sentence)
    console = messages()
    for line in settings.lines():
        console.print(line, soft_wrap=True)
    return settings, settings.model
