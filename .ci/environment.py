"""Make or refresh .venv from requirements.lock: `PYTHON .ci/environment.py`.

Runs on any Python so that a wrong one is told so in a sentence. The stamp in
.venv holds the hashes of the lock and of pyproject.toml; while it agrees,
nothing is done (a few tens of milliseconds).
"""

import hashlib
import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
STAMP = os.path.join(VENV, "lock-stamp")
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


def wanted_stamp():
    digest = hashlib.sha256()
    for name in ("requirements.lock", "pyproject.toml"):
        with open(os.path.join(ROOT, name), "rb") as handle:
            digest.update(handle.read())
    return "%s %s" % (digest.hexdigest(), ROOT)


def current_stamp():
    try:
        with open(STAMP) as handle:
            stamp, _, version = handle.read().strip().rpartition(" ")
        return stamp, version
    except OSError:
        return None, None


def main():
    version = "%d.%d.%d" % sys.version_info[:3]
    stamp, stamped_version = current_stamp()
    chosen = "PYTHON" in os.environ  # somebody asked for this interpreter
    if stamp == wanted_stamp() and (stamped_version == version or not chosen):
        return
    problem = complaint(sys.version_info, has_venv())
    if problem:
        sys.exit(problem)
    print("Setting up .venv with Python %s (one to three minutes, once)" % version)
    sys.stdout.flush()
    shutil.rmtree(VENV, ignore_errors=True)
    python = os.path.join(VENV, "bin", "python")
    pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    lock = os.path.join(ROOT, "requirements.lock")
    try:
        subprocess.check_call([sys.executable, "-m", "venv", VENV])
        subprocess.check_call(pip + ["--require-hashes", "-r", lock])
        subprocess.check_call(pip + ["--no-deps", "--no-build-isolation", "--editable", ROOT])
    except subprocess.CalledProcessError:
        sys.exit(
            "Setting up .venv failed; the lines above say where (no network, or a full disk, "
            "are the usual causes). Nothing else was changed; run the command again."
        )
    with open(STAMP, "w") as handle:
        handle.write("%s %s\n" % (wanted_stamp(), version))


if __name__ == "__main__":
    main()
