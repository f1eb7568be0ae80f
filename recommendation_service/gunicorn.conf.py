"""How gunicorn runs the answering service: `cd recommendation_service && gunicorn inference_api.wsgi:app`.

INFERENCE_BIND (127.0.0.1:5001), INFERENCE_WORKERS (the cores, at most 4) and INFERENCE_THREADS (4)
change the defaults; flags on the command line come before all of them.
"""

import ctypes
import gc
import importlib
import json
import os
import shutil
import tempfile
from pathlib import Path

from gunicorn import util
from gunicorn.http.errors import LimitRequestHeaders, LimitRequestLine, ParseException
from gunicorn.workers.gthread import ThreadWorker

SERVICE_ROOT = Path(__file__).resolve().parent

# NumPy reads it once, when it is imported; threads of its own under each request only get in the way.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

bind = os.environ.get("INFERENCE_BIND", "127.0.0.1:5001")
workers = int(os.environ.get("INFERENCE_WORKERS", min(len(os.sched_getaffinity(0)), 4)))
threads = int(os.environ.get("INFERENCE_THREADS", "4"))
wsgi_app = "inference_api.wsgi:app"
chdir = str(SERVICE_ROOT)
pythonpath = f"{SERVICE_ROOT},{SERVICE_ROOT.parent}"
timeout = 30
graceful_timeout = 20
keepalive = 5
limit_request_line = 8190  # a long `exclude`
control_socket_disable = True  # it would lie in the home folder, one for all services of a user

UNREADABLE = {
    LimitRequestLine: (
        "414 URI Too Long",
        "address_too_long",
        f"The address has more than {limit_request_line} bytes; ask by POST /recommend, in a body.",
    ),
    LimitRequestHeaders: (
        "431 Request Header Fields Too Large",
        "headers_too_large",
        "The headers are larger than the server reads; send fewer or shorter ones.",
    ),
    ParseException: (
        "400 Bad Request",
        "bad_request",
        "The request cannot be read; check its address, headers and body.",
    ),
}


class JsonErrorWorker(ThreadWorker):
    """Threads, as gunicorn's own; what it cannot read as a request is refused in our error shape."""

    def handle_error(self, req, client, addr, exc):
        """Answer and log; any other fault is left to gunicorn."""
        answer = next((UNREADABLE[kind] for kind in UNREADABLE if isinstance(exc, kind)), None)
        if answer is None:
            super().handle_error(req, client, addr, exc)
            return
        status, code, message = answer
        self.log.warning("request refused status=%s from=%s reason=%s", status, (addr or [""])[0], exc)
        body = json.dumps({"error": code, "message": message, "detail": {}}).encode()
        head = (
            f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        try:
            util.write_nonblock(client, head.encode() + body)
        except OSError:
            self.log.debug("nobody waits for the refusal")


worker_class = JsonErrorWorker

# This file is read again on every reload, in the same process: the folder is chosen once.
METRICS_DIR_IS_OURS = "RECS_METRICS_DIR_IS_OURS"
if not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="recs-metrics-")
    os.environ[METRICS_DIR_IS_OURS] = "1"


# Imported once, before the workers are forked, which then share the memory: 40 MB of each otherwise.
# Nothing of ours is among them: a reload takes new code.
SHARED_LIBRARIES = ("apiflask", "flask_swagger_ui", "prometheus_client", "redis", "scipy.sparse")


# Of glibc's malloc: an array of a request over a large catalogue goes back to the system with the
# request, and threads share two heaps; each would keep tens of MB otherwise.
M_MMAP_THRESHOLD, M_ARENA_MAX = -3, -8
MMAP_FROM_BYTES, HEAPS = 1024 * 1024, 2


def keep_heaps_small():
    """For the workers to inherit; nothing where the C library has no such settings."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, MMAP_FROM_BYTES)
        mallopt(M_ARENA_MAX, HEAPS)


def on_starting(server):
    """Once, before there are workers; not called on a reload."""
    keep_heaps_small()
    for name in SHARED_LIBRARIES:
        importlib.import_module(name)
    gc.freeze()  # a collection in a worker would write to, and so copy, what is shared
    empty_metrics()


def empty_metrics():
    """Forget the metrics of an earlier run."""
    folder = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])
    folder.mkdir(parents=True, exist_ok=True)
    if "GUNICORN_PID" in os.environ:  # an upgrade in flight: the old master still counts here
        return
    for path in folder.glob("*.db"):
        path.unlink()


def child_exit(server, worker):
    """Forget the gauges of a worker that is gone; its counters stay."""
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(worker.pid)


def on_exit(server):
    """Leave nothing behind, unless a new master has taken over."""
    if os.environ.get(METRICS_DIR_IS_OURS) and not server.reexec_pid:
        shutil.rmtree(os.environ["PROMETHEUS_MULTIPROC_DIR"], ignore_errors=True)
