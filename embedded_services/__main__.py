"""`python -m embedded_services up|down|status`, for machines without Django."""

from embedded_services.cli import main

raise SystemExit(main())
