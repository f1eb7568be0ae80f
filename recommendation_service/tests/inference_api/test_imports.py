"""The answering service starts with NumPy and SciPy alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

FORBIDDEN = {"torch", "implicit", "pandas", "pyarrow", "django", "celery", "sklearn", "irspack", "pyspark"}
PROGRAM = """
import json, sys
from pathlib import Path
from inference_api import Settings, create_app
app = create_app(Settings(redis_url=sys.argv[1], models_dir=Path(sys.argv[2])))
client = app.test_client()
statuses = [client.get(path).status_code for path in
            ("/recommend?user_id=u04", "/recommend?user_id=nobody", "/similar?startup_id=s00", "/popular")]
print(json.dumps([statuses, sorted({name.partition(".")[0] for name in sys.modules})]))
"""


def test_answering_imports_no_trainer_and_no_table_library(redis_url: str, models_dir: Path) -> None:
    service_root = Path(__file__).resolve().parents[2]
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, redis_url, str(models_dir)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        cwd=service_root,
    )
    statuses, modules = json.loads(ran.stdout)
    assert statuses == [200] * 4
    assert not FORBIDDEN & set(modules)
