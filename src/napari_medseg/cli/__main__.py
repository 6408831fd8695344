"""`python -m napari_medseg.cli` is `medseg`."""

import sys

from napari_medseg.cli import main

sys.exit(main())
