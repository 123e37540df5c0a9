"""Crystals of OPTIMADE providers (Evans et al., Digital Discovery 3, 1509 (2024)), a page at a time.

The client of the ``optimade`` package speaks with the provider; failures are retried a few times, then reported.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from cloud_model.crystal.crystal import Crystal
from cloud_model.crystal.optimade import from_optimade
from cloud_model.errors import CloudError, DataError

FIELDS = [
    "lattice_vectors",
    "cartesian_site_positions",
    "species",
    "species_at_sites",
    "nperiodic_dimensions",
]
TIMEOUT = 60.0  # seconds
RETRIES = 3


def optimade_records(base_url: str, place: str = "") -> Iterator[tuple[str, Crystal | CloudError, str]]:
    """Structures of a provider.

    Parameters
    ----------
    base_url : str
        Base URL of the provider, without the version; a query ``?filter=...`` in OPTIMADE's language may follow.
    place : str
        Where to go on: third item of what was yielded last.

    Yields
    ------
    (str, Crystal or CloudError, str)
        Identifier, crystal, and the place after it: URL of the page and number of its entries that are done.

    Raises
    ------
    DataError
        If the provider fails, or does not answer.
    """
    base_url, _, query = base_url.partition("?filter=")
    page, done = json.loads(place) if place else (None, 0)
    while True:
        entries, url, following = _page(base_url, query, page)
        for i, entry in enumerate(entries[done:], start=done + 1):
            name = str(entry.get("id", f"entry {i} of a page"))
            yield name, _structure(entry, name), json.dumps([url, i])
        if not following or not entries:
            return
        page, done = following, 0


def _structure(entry: Mapping[str, Any], name: str) -> Crystal | CloudError:
    try:
        return from_optimade(entry["attributes"], name)
    except CloudError as error:
        return error


def _page(base_url: str, query: str, page: str | None) -> tuple[list[dict[str, Any]], str, str | None]:
    """Entries of a page, its URL, and that of the next one."""
    from optimade.client import OptimadeClient

    seen: list[tuple[str, dict[str, Any]]] = []
    client = OptimadeClient(
        base_url,
        silent=True,
        use_async=False,
        http_client=_session_class(),
        http_timeout=TIMEOUT,
        callbacks=[lambda url, results: seen.append((url, results))],  # None: the client goes on as it would
    )
    answer = client.get_one(
        endpoint="structures",
        filter=query,
        base_url=base_url,
        response_fields=FIELDS,
        paginate=False,
        override_url=page,
    )
    if not seen:  # the client turns what it raises into text
        reason = "; ".join(error for result in answer.values() for error in result.errors) or "no answer"
        raise DataError(base_url, f"the provider fails: {reason}", "Run the same command later; it resumes.")
    url, results = seen[0]
    following = results["links"].get("next")
    return results["data"], url, following["href"] if isinstance(following, dict) else following


def _session_class() -> Any:
    """Class of HTTP sessions that retry what may pass, and give up in the end."""
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.util import Retry

    class Session(requests.Session):
        def __init__(self) -> None:
            super().__init__()
            retry = Retry(RETRIES, backoff_factor=0.5, status_forcelist=(429, 500, 502, 503, 504))
            for scheme in ("http://", "https://"):
                self.mount(scheme, HTTPAdapter(max_retries=retry))

        def request(self, method: Any, url: Any, *arguments: Any, **options: Any) -> requests.Response:
            try:
                return super().request(method, url, *arguments, **options)
            except requests.RequestException as error:
                raise DataError(
                    str(url), f"no answer ({error})", "Run the same command later; it resumes."
                ) from error

    return Session
