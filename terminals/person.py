"""Person: somebody who looks at somebody else's terminal, as its owner and its student know them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who looks at somebody else's terminal. `id` stands for one page load; pages learn it, never the writer."""

    id: str
    user: int
    name: str
    since: int
    writer: int
    wants: int = 0
    """To type: the number of this wish, which grows; 0: hasn't asked; below 0: doesn't want any more."""
    types: bool = False
    """As far as their page's instance knows."""
    instance: str = ""
    """Where their page is; here: empty."""
