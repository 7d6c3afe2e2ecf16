"""``python -m tvmopt``."""

from .cli import main

main(prog_name="tvmopt")
