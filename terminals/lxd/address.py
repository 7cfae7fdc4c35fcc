"""Address: where LXD listens, and what proves who it is."""

import ssl
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Address:
    """Where LXD listens: a unix socket's path, or an https address with the certificates to use."""

    url: str
    cert: str | None = None
    key: str | None = None
    server_cert: str | None = None

    @property
    def secure(self) -> bool:
        return self.url.startswith("https://")

    @property
    def socket(self) -> str:
        """The unix socket's path."""
        return self.url.removeprefix("unix://")

    def tls(self) -> ssl.SSLContext:
        """A context that trusts the pinned server certificate and nothing else.

        The name isn't checked: LXD's own certificate is self-signed for names that clients don't use.
        """
        context = ssl.create_default_context(cafile=self.server_cert)
        context.check_hostname = False
        if self.cert:
            context.load_cert_chain(self.cert, self.key)
        return context
