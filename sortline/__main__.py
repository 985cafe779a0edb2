"""What `python -m sortline` runs: the same as the `sortline` script."""

from sortline.main import main

if __name__ == "__main__":
    raise SystemExit(main())
