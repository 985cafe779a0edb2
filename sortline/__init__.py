"""The command line: one module a command.

`main.py` mounts the commands and turns errors into one sentence and an exit code; `settings.py` is the one place
that reads the environment. A command's module is light and imports what it runs when it runs, so that `--help` is
quick. This is the only package that may import both `streams` and `training`.
"""
