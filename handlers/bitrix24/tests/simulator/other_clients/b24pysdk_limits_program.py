"""Errors as the vendor's b24pysdk names them; prints their names."""

import json
import sys
from urllib.parse import urlsplit

from b24pysdk import BitrixWebhook


def first_error(client: BitrixWebhook) -> str:
    """Call until it is refused; return the name of the error."""
    for _ in range(60):
        try:
            client.call_method("profile", max_retries=1)
        except Exception as error:  # noqa: BLE001
            return type(error).__name__
    return "nothing"


def main(webhook: str) -> None:
    """Use a wrong secret, then empty the bucket."""
    address = urlsplit(webhook)
    _, user, secret, _ = address.path.lstrip("/").split("/")
    wrong, right = (BitrixWebhook(domain=address.netloc, webhook_token=f"{user}/{code}") for code in ("wrong", secret))
    sys.stdout.write(json.dumps({"secret": first_error(wrong), "bucket": first_error(right)}))


main(sys.argv[1])
