"""Address: where LXD listens, and what proves who it is."""

import ssl
import threading
from dataclasses import dataclass, field


@dataclass(slots=True)
class Address:
    """A unix socket's path, or https addresses with the certificates to use: each member of a cluster answers for all."""

    urls: str
    """One, or several with commas between."""
    cert: str | None = None
    key: str | None = None
    server_cert: str | None = None
    _at: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def all(self) -> list[str]:
        return [url.strip() for url in self.urls.split(",")]

    @property
    def url(self) -> str:
        """The one that is asked."""
        return self.all[self._at]

    @property
    def secure(self) -> bool:
        return self.url.startswith("https://")

    @property
    def socket(self) -> str:
        """The unix socket's path."""
        return self.url.removeprefix("unix://")

    def leave(self, url: str) -> bool:
        """It doesn't answer: the next one is asked from now on. False: there is no other, or that was done already."""
        with self._lock:
            found = self.all
            if len(found) == 1 or found[self._at] != url:
                return False
            self._at = (self._at + 1) % len(found)
            return True

    def tls(self) -> ssl.SSLContext:
        """A context that trusts the pinned server certificate and nothing else.

        The name isn't checked: LXD's own certificate is self-signed for names that clients don't use.
        """
        context = ssl.create_default_context(cafile=self.server_cert)
        context.check_hostname = False
        if self.cert:
            context.load_cert_chain(self.cert, self.key)
        return context
