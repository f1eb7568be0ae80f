"""Everything that is learned and served: datasets, recommenders, evaluation, releases, answering.

No web framework and no task queue is imported here. `recsys.cli` is the console command.
"""

import os

# OpenBLAS reads these once, when NumPy loads it. implicit brings threads of its own, and one
# BLAS thread under each of them is measurably faster than a pool of pools.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")

__version__ = "0.1.0"
