#!/usr/bin/env python3
"""Whether the page in this container reports that all is well: exit code 0 and the run's state, or 1 and the reasons.

The port and the token are those of the page's own variables: MUONSTREAM_PORT, and MUONSTREAM_TOKEN or
MUONSTREAM_TOKEN_FILE.
"""

from __future__ import annotations

import http.client
import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

TIMEOUT_S = 5.0


def health(environment: Mapping[str, str]) -> tuple[bool, str]:
    """Whether all is well, and in one line the run's state or why not."""
    file = environment.get("MUONSTREAM_TOKEN_FILE", "")
    try:
        token = Path(file).read_text("utf-8").strip() if file else environment.get("MUONSTREAM_TOKEN", "")
    except OSError as error:
        return False, f"{file}: {error.strerror}"
    address = f"http://127.0.0.1:{environment.get('MUONSTREAM_PORT', '8765')}/healthz"
    request = urllib.request.Request(address, headers={"Authorization": f"Bearer {token}"} if token else {})
    try:
        # a proxy of the environment is for other machines
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=TIMEOUT_S) as answer:
            return True, str(json.loads(answer.read())["state"])
    except urllib.error.HTTPError as error:
        if error.code == 401:
            return False, f"{address}: the token is wrong or missing: set MUONSTREAM_TOKEN"
        try:
            return False, "; ".join(json.loads(error.read())["reasons"])
        except (ValueError, LookupError, TypeError):
            return False, f"{address}: found status {error.code}, expected 200"
    except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError) as error:
        return False, f"{address}: {error}"


def main() -> int:
    """Print what the page says; 1 if it is not well."""
    well, said = health(os.environ)
    print(said)
    return int(not well)


if __name__ == "__main__":
    sys.exit(main())
