"""Proxy: the forward proxy of closed labs: which container asks, for what, and whether its lesson lists that."""

from terminals.proxy.proxy import Lookup, Proxy

__all__ = ["Lookup", "Proxy"]
