"""Makes .venv with the locked dependencies and this checkout in it, then becomes the command given.

    python3 bootstrap.py [--dev] [COMMAND [ARGUMENT ...]]

Standard library only, and readable by any Python since 2.7, so that an old one can say what is
missing. A stamp in .venv, written last, says that it is whole; without it all is done from clean.
"""

import hashlib
import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.abspath(__file__))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
STAMP = os.path.join(VENV, "installed")
LOG = os.path.join(VENV, "setup.log")
LOCK = os.path.join(ROOT, ".venv.lock")
SOURCES = ("setup.py",) + tuple("requirements/%s.txt" % name for name in ("build", "run", "dev"))
NEWER = ("python3.14", "python3.13", "python3.12", "python3.11", "python3")


class Refusal(Exception):
    """One sentence for the user."""


def main(arguments):
    """Install what is missing, then replace this process by the command."""
    if os.name != "posix":
        raise Refusal("Trellis runs on Linux and macOS; on Windows it runs inside WSL.")
    if sys.version_info < (3, 11):
        become_newer(arguments)
    kind = "run"
    if arguments[:1] == ["--dev"]:
        kind, arguments = "dev", arguments[1:]
    if not installed(kind):
        try:
            install(kind)
        except OSError as error:
            raise Refusal("Trellis cannot write its environment in %s: %s." % (ROOT, error))
    if arguments:
        try:
            os.execvpe(arguments[0], arguments, environment())
        except OSError as error:
            raise Refusal("%s cannot be started: %s." % (arguments[0], error.strerror))


def become_newer(arguments):
    """Start this file again under a Python that is new enough, if one is on PATH."""
    for name in NEWER:
        try:
            with open(os.devnull, "w") as quiet:
                test = "import sys; sys.exit(sys.version_info < (3, 11))"
                new_enough = not subprocess.call([name, "-c", test], stdout=quiet, stderr=quiet)
        except OSError:
            continue
        if new_enough:
            os.execvp(name, [name, "-E", os.path.abspath(__file__)] + arguments)
    raise Refusal(
        "Trellis needs Python 3.11 or newer; this is Python %d.%d, and no newer one is on PATH."
        % sys.version_info[:2]
    )


def installed(kind):
    """Tell whether .venv is whole, up to date, and holds this kind; "dev" is "run" and more."""
    try:
        with open(STAMP) as stamp:
            return stamp.read() in (stamp_of(kind), stamp_of("dev"))
    except OSError:
        return False


def stamp_of(kind):
    """Name all that .venv was made from; a .venv does not survive a move or another Python."""
    digest = hashlib.sha256(VENV.encode() + os.path.realpath(PYTHON).encode())
    for name in SOURCES:
        with open(os.path.join(ROOT, name), "rb") as source:
            digest.update(source.read())
    return "%s %s\n" % (kind, digest.hexdigest())


def install(kind):
    """Fill .venv while no other process does."""
    import fcntl
    import importlib.util

    for module in ("venv", "ensurepip"):
        if not importlib.util.find_spec(module):
            raise Refusal(
                "This Python has no module '%s'; on Debian and Ubuntu `apt install python3-venv` "
                "brings it." % module
            )
    with open(LOCK, "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tell("another process is installing Trellis here; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        if installed(kind):
            return
        if installed("run"):
            os.remove(STAMP)
        else:
            make_venv(lock)
        tell("installing what is locked in requirements/%s.txt, about a minute" % kind)
        for name in ("build", kind):
            locked = os.path.join(ROOT, "requirements", name + ".txt")
            pip(lock, "--require-hashes", "-r", locked)
        pip(lock, "--no-deps", "--no-build-isolation", "-e", ROOT)
        with open(STAMP, "w") as stamp:
            stamp.write(stamp_of(kind))


def make_venv(lock):
    """Begin from clean, on the Python below whatever environment is active."""
    if os.path.lexists(VENV):
        shutil.rmtree(VENV)
    tell("making %s with Python %d.%d" % ((VENV,) + sys.version_info[:2]))
    os.mkdir(VENV)
    base = getattr(sys, "_base_executable", sys.executable)
    if step(lock, base, "-E", "-m", "venv", VENV):
        raise Refusal("Python could not make .venv: %s" % last_words())


def pip(lock, *arguments):
    """Install with the pip of .venv; index, proxy and certificates are those of the user's pip."""
    if step(lock, PYTHON, "-m", "pip", "install", "--quiet", "--no-input", *arguments):
        raise Refusal(
            "pip could not install Trellis, which needs a package index: %s" % last_words()
        )


def step(lock, *command):
    """Run with all output to the log. The child holds the lock too: it may outlive this process."""
    with open(LOG, "a") as log:
        return subprocess.call(
            command, env=environment(), stdout=log, stderr=log, pass_fds=[lock.fileno()]
        )


def last_words():
    """Give the first error in the log, or its last line, as a sentence that names the log."""
    with open(LOG) as log:
        lines = [line.strip() for line in log if line.strip()] or ["it said nothing"]
    errors = [line[len("ERROR: ") :] for line in lines if line.startswith("ERROR: ")]
    return "%s (all of it: %s)." % ((errors or lines[-1:])[0].rstrip("."), LOG)


def environment():
    """Give the environment of the user without what would lead Python or pip out of .venv."""
    foreign = ("PYTHONHOME", "PYTHONPATH", "__PYVENV_LAUNCHER__", "PIP_TARGET", "PIP_PREFIX")
    inside = {name: value for name, value in os.environ.items() if name not in foreign}
    path = os.path.dirname(PYTHON) + os.pathsep + os.environ.get("PATH", os.defpath)
    inside.update(VIRTUAL_ENV=VENV, PATH=path, PIP_USER="0")
    return inside


def tell(sentence):
    """Say what goes on; standard output belongs to the command."""
    sys.stderr.write("trellis: %s\n" % sentence)
    sys.stderr.flush()


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except Refusal as refusal:
        tell(refusal)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
