"""`python -m trellis` is the `trellis` command, for when its script is not on PATH."""

from __future__ import annotations

from trellis.cli import main

if __name__ == "__main__":
    main()
