"""The images of images/*: each is built once per recipe, kept as tar files, imported where it is missing.

The alias is the folder's name; the recipe's hash is a property of the image, so an unchanged recipe costs one query.
"""

import hashlib
import os
from pathlib import Path
from typing import Any

from deploy.commands import run
from deploy.lxd_api import Api
from deploy.world import CHECKOUT, World

RECIPES = CHECKOUT / "images"
# Its own namespaces: when the builder is killed the kernel takes its mounts and its children with it.
ISOLATED = ("unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc")


def names() -> list[str]:
    """The images there are recipes for."""
    return sorted(build.parent.name for build in RECIPES.glob("*/build"))


def recipe(name: str) -> str:
    """A hash over every file of the recipe: paths, modes and contents."""
    digest = hashlib.sha256()
    folder = RECIPES / name
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        executable = "x" if os.access(path, os.X_OK) else "-"
        digest.update(f"{path.relative_to(folder)}\0{executable}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def build(world: World, name: str) -> str:
    """Makes the two tar files of the image unless they are there."""
    rootfs, meta = files(world, name)
    if rootfs.exists() and meta.exists():
        return "cached"
    folder = rootfs.parent
    folder.mkdir(mode=0o711, exist_ok=True)
    work = folder / f"{name}.building"
    run("rm", "-rf", "--one-file-system", work)
    work.mkdir(mode=0o711)
    fresh_rootfs, fresh_meta = work / "rootfs.tar", work / "meta.tar"
    run(
        *ISOLATED,
        *(RECIPES / name / "build", fresh_rootfs, fresh_meta, recipe(name)),
        env={"TMPDIR": str(work)},
        locked=True,
        todo="is Debian's mirror reachable? (apt-get update)",
    )
    fresh_meta.replace(meta)
    fresh_rootfs.replace(rootfs)
    run("rm", "-rf", "--one-file-system", work)
    for old in folder.glob(f"{name}-*.tar"):
        if old not in (rootfs, meta):
            old.unlink()
    return "built"


def load(world: World, name: str, lxd: Api, project: str) -> str:
    """Imports the image under its name into the project unless this very recipe is there."""
    wanted, present = recipe(name), _images(lxd, project)
    old = [image for image in present if name in (alias["name"] for alias in image["aliases"] or [])]
    if any(_is(image, wanted) for image in old):
        return "there"
    # One without the alias: a killed set-up imported it and got no further.
    if not any(_is(image, wanted) for image in present):
        build(world, name)
        rootfs, meta = files(world, name)
        lxd.import_image(project, meta, rootfs)
        present = _images(lxd, project)
    for image in old:
        lxd.delete(f"/1.0/images/{image['fingerprint']}?project={project}")
    lxd.name_image(project, name, next(image["fingerprint"] for image in present if _is(image, wanted)))
    return "imported"


def files(world: World, name: str) -> tuple[Path, Path]:
    """Where its root file system and its metadata lie."""
    stem = f"{name}-{recipe(name)}"
    return world.state / "images" / f"{stem}.tar", world.state / "images" / f"{stem}.meta.tar"


def _images(lxd: Api, project: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = lxd.get(f"/1.0/images?recursion=1&project={project}")
    return found


def _is(image: dict[str, Any], wanted: str) -> bool:
    return bool(image["properties"].get("recipe") == wanted)
