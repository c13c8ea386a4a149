"""Old requests sent again, with the keys that their clients had then."""

from __future__ import annotations

import httpx

from api.processes.supervisor import Supervisor
from tests.order_driver import Driver

REPEATED = 10


def repeat_old_requests(venue: Supervisor, driver: Driver) -> None:
    """An old request, with an old key of the API, is answered as it was."""
    with httpx.Client(base_url=venue.base_url, timeout=30) as http:
        for key in list(driver.orders)[:REPEATED]:
            headers = driver.headers[int(key.partition("-")[0])]
            answer = http.post("/v2/orders", json=driver.sent[key], headers=headers)
            assert (200, driver.orders[key].order_id) == (answer.status_code, answer.json()["id"])
