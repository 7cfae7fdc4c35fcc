"""Certificates: client certificates as an operator makes them."""

import subprocess
from pathlib import Path


def certificate(folder: Path, name: str) -> tuple[str, str]:
    """(certificate, key)."""
    made = (str(folder / f"{name}.crt"), str(folder / f"{name}.key"))
    words = [
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:secp384r1",
        "-sha384",
        "-nodes",
        "-days",
        "2",
    ]
    named = ["-subj", f"/CN={name}", "-out", made[0], "-keyout", made[1]]
    subprocess.run(["openssl", *words, *named], check=True, capture_output=True, timeout=30)
    return made
