"""What is kept below the state directory: the session and bots' tokens, each a file for its owner alone."""

import contextlib
import os
import stat

from talk import Trouble

SESSION = "botfather.session"


def directory(environment):
    """Returns the state directory that the daemon named."""
    path = environment.get("SMCP_STATE_DIR")
    if not path:
        raise Trouble("SMCP_STATE_DIR is not set; by hand, set it to the directory that the daemon gives this plugin")
    if not os.path.isdir(path):
        raise Trouble("the state directory `{}` is not there; make it, with mode 0700".format(path))
    return path


def session_path(environment):
    return os.path.join(directory(environment), SESSION)


def checked(path):
    """Returns whether the file is there; one that others can read, or that is not ours, is refused."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return False
    if not stat.S_ISREG(found.st_mode):
        raise Trouble("the session `{}` is not a regular file; remove it and log in again".format(path))
    if found.st_uid != os.geteuid():
        raise Trouble("the session `{}` belongs to another user (uid {}); chown it to the daemon's".format(path, found.st_uid))
    if found.st_mode & 0o077:
        raise Trouble(
            "others can read the session `{0}` (mode {1:04o}); whoever has it is logged in as you: run `chmod 600 {0}`, "
            "and if it may have been read, end that session in Telegram's settings".format(path, stat.S_IMODE(found.st_mode))
        )
    return True


def make_private(path):
    """Makes the empty file for the session, so that it never has another mode."""
    if not checked(path):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


@contextlib.contextmanager
def held(environment):
    """Holds the session for one process: a login by hand and a call must not write it at once."""
    import fcntl

    handle = os.open(os.path.join(directory(environment), "lock"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Trouble("another call or a login is using the session; try again when it has ended") from None
        yield
    finally:
        os.close(handle)


def tokens_directory(environment):
    """Makes the directory for tokens: asked for before a bot is made, because a token that cannot be kept is no use."""
    path = os.path.join(directory(environment), "tokens")
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
        os.chmod(path, 0o700)
    except OSError as error:
        raise Trouble("cannot keep tokens in `{}`: {}".format(path, error.strerror)) from error
    return path


def keep_token(directory_path, username, token):
    """Writes the token, whole or not at all, and returns the file's path."""
    path = os.path.join(directory_path, username + ".token")
    new = path + ".new"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(new)
    handle = os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(token + "\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(new, path)
    return path
