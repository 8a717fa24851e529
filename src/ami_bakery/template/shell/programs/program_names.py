"""Names of programs, grouped by how they use files in their arguments."""

from __future__ import annotations

from collections.abc import Mapping

SHELLS = frozenset({"sh", "bash", "dash", "ash", "ksh", "zsh", "busybox"})
INTERPRETERS = frozenset(
    {
        *(
            "python",
            "python2",
            "python3",
            "ruby",
            "perl",
            "node",
            "php",
            "lua",
            "Rscript",
            "pwsh",
            "groovy",
            "uv",
            "tclsh",
        )
    }
)
NO_FILES = frozenset(
    {
        *(
            "echo",
            "printf",
            "sleep",
            "true",
            "false",
            ":",
            "exit",
            "return",
            "break",
            "continue",
            "set",
            "wait",
            "kill",
        ),
        *("trap", "type", "which", "hash", "umask", "ulimit", "jobs", "alias", "unalias", "let", "expr", "seq", "date"),
        *(
            "hostname",
            "whoami",
            "id",
            "uname",
            "pwd",
            "nproc",
            "arch",
            "tput",
            "clear",
            "uuidgen",
            "mktemp",
            "basename",
        ),
        *("dirname", "realpath", "readlink", "logger", "rmdir", "tr", "yes", "tty", "stty"),
        *("ls", "stat", "du", "df", "free", "ps", "pgrep", "pkill", "killall", "uptime", "lsblk", "mount", "umount"),
        *("systemctl", "service", "apt-get", "apt", "yum", "dnf", "apk", "brew", "sync", "nc", "ping", "dig", "host"),
        *(
            "shopt",
            "local",
            "times",
            "caller",
            "bind",
            "fg",
            "bg",
            "disown",
            "suspend",
            "nslookup",
            "printenv",
        ),
        *("udevadm", "partprobe", "losetup", "blkid", "mkfs", "mkswap", "parted", "sgdisk", "sfdisk", "wipefs"),
    }
)
"""Programs that read no file of their arguments. (`ls` and `stat` do not read a file's content.)"""
PERHAPS_FILES = frozenset(
    {*("apt-get", "apt", "yum", "dnf", "apk", "brew", "mount", "losetup", "parted", "sgdisk", "sfdisk", "date", "mkfs")}
)
"""Programs that read arguments that look like files: `apt-get install ./x.deb`, `mount -o loop x.img`."""
READERS = frozenset(
    {
        *("cat", "head", "tail", "wc", "grep", "egrep", "fgrep", "zgrep", "cut", "awk", "gawk", "diff", "cmp", "nl"),
        *("md5sum", "sha1sum", "sha224sum", "sha256sum", "sha384sum", "sha512sum", "shasum", "cksum", "b2sum", "md5"),
        *("base64", "od", "xxd", "hexdump", "strings", "file", "jq", "yq", "xmllint", "envsubst", "column", "paste"),
        *("join", "comm", "rev", "fold", "fmt", "tac", "zcat", "bzcat", "xzcat", "less", "more", "test", "[", "uniq"),
        *("shellcheck", "xargs", "ssh", "sftp", "gpg2", "iconv", "dos2unix", "expand", "pr", "ssh-add"),
    }
)
"""Programs that read the files in their arguments, and no other file."""
OF_TASKS = frozenset(
    {
        *("npm", "npx", "yarn", "pnpm", "bun", "cargo", "gradle", "mvn", "rake", "just", "task", "invoke", "bundle"),
        *("terraform", "tofu", "packer", "composer", "poetry", "pip", "pip3", "gem", "helm", "kubectl", "vault"),
    }
)
"""Programs with tasks as arguments (`build`, `dist`): a folder of that name is likely their output."""
INSTALL = frozenset({"install", "ci", "add", "i"})
CACHES: Mapping[str, tuple[frozenset[str], str]] = {
    **dict.fromkeys(("npm", "yarn", "pnpm", "bun"), (INSTALL, "node_modules")),
    **dict.fromkeys(("terraform", "tofu"), (frozenset({"init"}), ".terraform")),
    "cargo": (frozenset({"build", "test", "run"}), "target"),
    "mvn": (frozenset({"package", "install", "verify", "compile"}), "target"),
}
"""By program: the arguments that make it fill a folder, and the folder."""
WHOLE_FOLDERS = frozenset(
    {
        "tar",
        "gtar",
        "bsdtar",
        "zip",
        "cp",
        "rsync",
        "scp",
        "mv",
        "docker",
        "podman",
        "aws",
        "genisoimage",
        "mkisofs",
    }
)
"""Programs for which `.` means the whole content of the folder."""


OF_FILES = frozenset(
    {
        *("cat", "head", "tail", "wc", "nl", "md5sum", "sha1sum", "sha224sum", "sha256sum", "sha384sum", "sha512sum"),
        *(
            "shasum",
            "cksum",
            "b2sum",
            "md5",
            "base64",
            "od",
            "xxd",
            "hexdump",
            "strings",
            "paste",
            "tac",
            "zcat",
            "bzcat",
        ),
        *(
            "xzcat",
            "less",
            "more",
            "sort",
            "cmp",
            "diff",
            "comm",
            "join",
            "uniq",
            "rev",
            "fold",
            "column",
            "grep",
            "egrep",
        ),
        *(
            "fgrep",
            "zgrep",
            "tar",
            "gtar",
            "bsdtar",
            "zip",
            "unzip",
            "cp",
            "mv",
            "install",
            "ln",
            "rsync",
            "scp",
            "gzip",
        ),
        *("gunzip", "pigz", "bzip2", "xz", "zstd", "sed", "dd"),
    }
)
"""Programs whose arguments, apart from options and their values, are all file names."""
VALUE_OPTIONS = frozenset({"-n", "-c", "-d", "-f", "-w", "-b", "-A", "-B", "-C", "-m", "-k", "-t", "-s", "-a", "-j"})
CODE = frozenset({"awk", "gawk", "sed", "gsed", "jq", "yq"})
