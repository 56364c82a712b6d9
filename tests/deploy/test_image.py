"""deploy/requirements.txt: everything that the image installs, to the last version, and nothing else."""

import re
from importlib.metadata import distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.deploy.files import DEPLOY, DOCKERFILE


def pinned() -> dict[str, str]:
    lines = [line for line in (DEPLOY / "requirements.txt").read_text().splitlines() if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9-]+==[\w.]+", line) for line in lines), lines
    return dict(line.split("==", 1) for line in lines)


def needed(name: str) -> dict[str, list[Requirement]]:
    """What a distribution asks for, and what that asks for, without extras."""
    found: dict[str, list[Requirement]] = {}
    names = [name]
    while names:
        for text in distribution(names.pop()).requires or []:
            wanted = Requirement(text)
            if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
                continue
            known = canonicalize_name(wanted.name)
            if known not in found:
                names.append(known)
            found.setdefault(known, []).append(wanted)
    return found


def test_every_package_is_pinned_to_a_version_that_is_asked_for() -> None:
    versions, wanted = pinned(), needed("streammf")
    assert set(versions) - {"setuptools"} == set(wanted)
    assert not [str(each) for name, all_ in wanted.items() for each in all_ if not each.specifier.contains(versions[name])]


def test_the_dockerfile_installs_nothing_but_what_is_pinned() -> None:
    installs = re.findall(r"bin/pip install (.*)", DOCKERFILE.read_text())
    assert len(installs) == 2
    assert all("--no-deps" in line for line in installs)
