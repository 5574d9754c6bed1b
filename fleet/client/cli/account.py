"""`sop login`, `sop logout`, and the client that every other command uses."""

from __future__ import annotations

import argparse
import getpass
import sys

from fleet.client.client import Client
from fleet.client.credentials import Credentials, credentials_forget, credentials_keep, credentials_read
from fleet.client.errors import ClientError, Forbidden


def client() -> Client:
    """Raises: ClientError if nobody signed in."""
    found = credentials_read()
    return Client(found.url, token=found.token)


def login(given: argparse.Namespace) -> None:
    """Try the token before it is kept."""
    url = given.url.rstrip("/")
    if not url.startswith(("http://", "https://")):
        raise ClientError("the address must begin with https:// (or http:// on your own machine)")
    token = given.token or getpass.getpass("Token of /settings/tokens: ").strip()
    with Client(url, token=token) as found:
        try:
            found.tasks.page(page_size=1)
        except Forbidden as error:
            if error.code != "scope_missing":
                raise
            # The token is good, for other things than tasks.
    path = credentials_keep(Credentials(url, token))
    print(f"Signed in to {url}; kept in {path}.", file=sys.stderr)


def logout(given: argparse.Namespace) -> None:
    was_there = credentials_forget()
    words = "Forgotten. The token itself works on: revoke it at /settings/tokens."
    print(words if was_there else "You were not signed in.", file=sys.stderr)
