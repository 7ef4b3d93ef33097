"""Make or refresh .venv from requirements.lock: `PYTHON .ci/environment.py`.

With the argument `bench`, .venv-bench: the same lock, then the peers of requirements-bench.txt.
With `docs`, .venv-docs: what requirements-docs.txt has, which sees the packages of .venv, to be
made first. Runs on any Python so that a wrong one is told so in a sentence. The stamp in an
environment holds the hash of its requirements and of pyproject.toml; while it agrees, nothing is
done (a few tens of milliseconds).
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LOCK = "requirements.lock"
EXTRAS = {"bench": "requirements-bench.txt", "docs": "requirements-docs.txt"}
VENVS = {"core": ".venv", "bench": ".venv-bench", "docs": ".venv-docs"}
OLDEST, NEWEST = (3, 11), (3, 13)


def complaint(version, has_venv):
    """The sentence for an interpreter that cannot serve, or None."""
    if not OLDEST <= tuple(version[:2]) <= NEWEST:
        return (
            "This project needs Python 3.11, 3.12 or 3.13; %s is Python %d.%d. "
            "Name another one, for example: PYTHON=python3.12 make test"
            % (sys.executable, version[0], version[1])
        )
    if not has_venv:
        return (
            "%s has no working venv module. Install it (Debian and Ubuntu: apt install "
            "python%d.%d-venv) or name another interpreter: PYTHON=python3.12 make test"
            % (sys.executable, version[0], version[1])
        )
    return None


def has_venv():
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        return False
    return True


def stamp_file(kind):
    return os.path.join(ROOT, VENVS[kind], "lock-stamp")


def wanted_stamp(kind):
    digest = hashlib.sha256()
    for name in (LOCK, "pyproject.toml") + ((EXTRAS[kind],) if kind in EXTRAS else ()):
        with open(os.path.join(ROOT, name), "rb") as handle:
            digest.update(handle.read())
    return "%s %s" % (digest.hexdigest(), ROOT)


def current_stamp(kind):
    try:
        with open(stamp_file(kind)) as handle:
            stamp, _, version = handle.read().strip().rpartition(" ")
        return stamp, version
    except OSError:
        return None, None


def pins(lock):
    """The lines of a hashed lock as constraints, which may not hold hashes."""
    return "".join(line.strip() + "\n" for line in re.findall(r"^[a-z0-9][^\\\n]*", lock, re.M))


def install(python, kind):
    pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    if kind == "docs":
        ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
        core, own = (
            subprocess.check_output([os.path.join(ROOT, venv, "bin", "python"), "-c", ask])
            for venv in (VENVS["core"], VENVS["docs"])
        )
        with open(os.path.join(own.decode().strip(), "core.pth"), "w") as out:
            out.write("%s\n%s\n" % (ROOT, core.decode().strip()))
        subprocess.check_call(pip + ["--no-deps", "-r", os.path.join(ROOT, EXTRAS[kind])])
        return
    lock = os.path.join(ROOT, LOCK)
    subprocess.check_call(pip + ["--require-hashes", "-r", lock])
    if kind in EXTRAS:
        constraints = os.path.join(ROOT, VENVS[kind], "lock-pins.txt")
        with open(lock) as handle, open(constraints, "w") as out:
            out.write(pins(handle.read()))
        subprocess.check_call(pip + ["-c", constraints, "-r", os.path.join(ROOT, EXTRAS[kind])])
    subprocess.check_call(pip + ["--no-deps", "--no-build-isolation", "--editable", ROOT])


def main(kind="core"):
    if kind not in VENVS:
        sys.exit("No environment is named %r; there are: %s." % (kind, ", ".join(sorted(VENVS))))
    version = "%d.%d.%d" % sys.version_info[:3]
    stamp, stamped_version = current_stamp(kind)
    chosen = "PYTHON" in os.environ  # somebody asked for this interpreter
    if stamp == wanted_stamp(kind) and (stamped_version == version or not chosen):
        return
    problem = complaint(sys.version_info, has_venv())
    if problem:
        sys.exit(problem)
    name = VENVS[kind]
    minutes = {"bench": "three to ten", "core": "one to three", "docs": "one"}[kind]
    print("Setting up %s with Python %s (%s minutes, once)" % (name, version, minutes))
    sys.stdout.flush()
    venv = os.path.join(ROOT, name)
    shutil.rmtree(venv, ignore_errors=True)
    try:
        subprocess.check_call([sys.executable, "-m", "venv", venv])
        install(os.path.join(venv, "bin", "python"), kind)
    except subprocess.CalledProcessError:
        sys.exit(
            "Setting up %s failed; the lines above say where (no network, or a full disk, are "
            "the usual causes). Nothing else was changed; run the command again." % name
        )
    with open(stamp_file(kind), "w") as handle:
        handle.write("%s %s\n" % (wanted_stamp(kind), version))


if __name__ == "__main__":
    main(*sys.argv[1:])
