"""The paths that an audit excludes, as code and as documentation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from ami_bakery.core.audit.trace import Access, AccessKind, is_of_packer
from ami_bakery.values import Frozen


class LeftOut(Frozen):
    """Paths outside the repository that an audit excludes.

    folders    files, and folders with all that is in them; `~` is the home folder
    variables  environment variables whose values are such paths, separated by colons
    """

    name: str
    folders: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    about: str


_TEMPORARY = "Temporary files"
RULES: tuple[LeftOut, ...] = (
    LeftOut(
        name="System folders",
        folders=(
            *("/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/nix", "/opt", "/proc", "/run"),
            *("/sbin", "/snap", "/sys", "/usr", "/var"),
        ),
        about="Programs, libraries, certificates, the settings of the machine, `/proc`.",
    ),
    LeftOut(
        name="Time zones and locales",
        variables=("TZDIR", "LOCPATH"),
        about="Other time zones and locales are in the system folders.",
    ),
    LeftOut(
        name=_TEMPORARY,
        folders=("/tmp", "/var/tmp"),  # noqa: S108
        variables=("TMPDIR",),
        about="Including files there that existed before the build. The folder directly in them that contains the "
        "repository is not excluded: `/tmp/a` for `/tmp/a/b/repository`.",
    ),
    LeftOut(
        name="Packer",
        folders=("~/.packer.d", "~/.packerconfig", "~/.config/packer", "~/.cache/packer"),
        variables=("PACKER_PLUGIN_PATH", "PACKER_CONFIG", "PACKER_CONFIG_DIR", "PACKER_HOME_DIR", "PACKER_CACHE_DIR"),
        about="Its settings, caches and plugins, and itself, wherever it is. The digest has its version, and the "
        "versions and checksums of the plugins.",
    ),
    LeftOut(
        name="SSH and GnuPG",
        folders=("~/.ssh", "~/.gnupg"),
        variables=("SSH_AUTH_SOCK",),
        about="Keys, agents, known hosts and the user's settings.",
    ),
    LeftOut(
        name="AWS",
        folders=("~/.aws",),
        variables=(
            *("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CA_BUNDLE"),
            *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"),
        ),
        about="Credentials, profiles and certificates.",
    ),
    LeftOut(
        name="The user's settings of git",
        folders=("~/.gitconfig", "~/.git-credentials", "~/.config/git"),
        variables=("GIT_CONFIG_GLOBAL",),
        about="A clone on another machine has different ones.",
    ),
    LeftOut(
        name="Caches",
        folders=("~/.cache", "~/.ansible/tmp", "~/.ansible/cp", "~/.ansible_async"),
        variables=("XDG_CACHE_HOME",),
        about="Files that tools create again if they are missing.",
    ),
)
PROGRAMS = LeftOut(
    name="Installed programs",
    variables=("PATH",),
    about="The folders of `PATH`, and the libraries of their programs: for `/p/bin`, all of `/p`, unless `/p` is the "
    "home folder or has the repository in it.",
)
BELOW_REPOSITORY: tuple[tuple[str, str], ...] = (
    ("`.git`", "What `git` itself reads there. Other programs that read it are findings."),
    ("Outputs", "Files that the build writes: `ami-bakery inputs` does not list them either."),
    ("Compiled Python", "`__pycache__/x.cpython-311.pyc` counts as `x.py`, from which Python made it."),
    ("AMI Bakery's own files", "Its trace and its var-file for Packer, if `TMPDIR` is in the repository."),
    ("Credentials", "Key and password files that the template names. The digest excludes them, too."),
)
"""The only files below the repository that an audit excludes."""
_PROGRAM_FOLDERS = frozenset({"bin", "sbin", "libexec", "shims", "Scripts"})


class Exclusions:
    """Decides whether an audit excludes a path outside the repository.

    packer  the path of the program
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        repositories: Sequence[str],
        packer: str,
        resolve: Callable[[str], str] = str,
    ) -> None:
        """`resolve`: returns the real path of an absolute path."""
        self._home = environment.get("HOME", "").rstrip("/")
        self._homes = {self._home, resolve(self._home) if self._home.startswith("/") else ""}
        self._repositories = tuple(repositories)
        variables = [name for rule in RULES for name in rule.variables]
        named = [path.rstrip("/") for name in variables for path in environment.get(name, "").split(":")]
        fixed = [self._expanded(path) for rule in RULES for path in rule.folders]
        folders = {path for path in (*fixed, *named) if path.startswith("/") and path not in self._homes}
        installed = [self._installation(folder) for folder in environment.get("PATH", "").split(":")]
        folders |= {folder.rstrip("/") for folder in (*installed, packer) if self._is_usable(folder)}
        self._folders = folders | {real for folder in folders if (real := resolve(folder)) not in ("/", *self._homes)}
        temporary = next(rule for rule in RULES if rule.name == _TEMPORARY)
        places = (*temporary.folders, *(environment.get(name, "").rstrip("/") for name in temporary.variables))
        self._of_checkout = frozenset(_checkouts({resolve(place) for place in places if place}, repositories))

    def add_programs(self, accesses: Sequence[Access]) -> None:
        """Excludes the installations of programs whose folders on PATH only have links.

        Excludes Packer itself, too: `packer` on PATH may be a script that runs it.
        """
        for access in accesses:
            if access.kind is AccessKind.RAN and is_of_packer(access.path):
                self._folders.add(access.path)
            if access.kind is AccessKind.RAN and self.holds(access.named) and not self.holds(access.path):
                folder = self._installation(access.path.rpartition("/")[0])
                if self._is_usable(folder) and not self._is_in_repository(access.path):
                    self._folders.add(folder)

    def holds(self, path: str) -> bool:
        for folder in _levels(path):
            if folder in self._folders:
                return True
            if folder in self._of_checkout:
                return False
        return False

    def _expanded(self, path: str) -> str:
        if not path.startswith("~"):
            return path
        return self._home + path[1:] if self._home else ""

    def _installation(self, folder: str) -> str:
        """Returns the folder of an installation: that of `/p/bin` is `/p`."""
        above, _, name = folder.rstrip("/").rpartition("/")
        return above if name in _PROGRAM_FOLDERS and self._is_usable(above) else folder

    def _is_usable(self, folder: str) -> bool:
        """Whether an installation is neither the home folder nor above the repository."""
        folder = folder.rstrip("/")
        is_too_much = folder in self._homes or any(f"{path}/".startswith(f"{folder}/") for path in self._repositories)
        return folder.startswith("/") and not is_too_much

    def _is_in_repository(self, path: str) -> bool:
        return any(path.startswith(f"{folder.rstrip('/')}/") for folder in self._repositories)


def _checkouts(places: Iterable[str], repositories: Sequence[str]) -> Iterator[str]:
    """Yields the folders directly in `places` that are or contain a repository."""
    for place in places:
        for repository in repositories:
            if repository.startswith(f"{place}/"):
                yield f"{place}/{repository[len(place) + 1 :].partition('/')[0]}"


def _levels(path: str) -> Iterator[str]:
    while path:
        yield path
        path = path.rpartition("/")[0]
