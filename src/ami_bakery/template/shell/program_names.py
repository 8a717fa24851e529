"""Names of programs, grouped by what they do with the files that their arguments name."""

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
"""Their words name nothing that they read here. What `ls` and `stat` show is not a file's content."""
PERHAPS_FILES = frozenset(
    {*("apt-get", "apt", "yum", "dnf", "apk", "brew", "mount", "losetup", "parted", "sgdisk", "sfdisk", "date", "mkfs")}
)
"""`apt-get install ./x.deb`, `mount -o loop x.img`: they read what looks like a file."""
READERS = frozenset(
    {
        *("cat", "head", "tail", "wc", "grep", "egrep", "fgrep", "zgrep", "cut", "awk", "gawk", "diff", "cmp", "nl"),
        *("md5sum", "sha1sum", "sha224sum", "sha256sum", "sha384sum", "sha512sum", "shasum", "cksum", "b2sum", "md5"),
        *("base64", "od", "xxd", "hexdump", "strings", "file", "jq", "yq", "xmllint", "envsubst", "column", "paste"),
        *("join", "comm", "rev", "fold", "fmt", "tac", "zcat", "bzcat", "xzcat", "less", "more", "test", "[", "uniq"),
        *("shellcheck", "xargs", "ssh", "sftp", "gpg2", "iconv", "dos2unix", "expand", "pr", "ssh-add"),
    }
)
"""They read the files that their words name, and nothing else here."""
OF_TASKS = frozenset(
    {
        *("npm", "npx", "yarn", "pnpm", "bun", "cargo", "gradle", "mvn", "rake", "just", "task", "invoke", "bundle"),
        *("terraform", "tofu", "packer", "composer", "poetry", "pip", "pip3", "gem", "helm", "kubectl", "vault"),
    }
)
"""Their words are tasks, `build` or `dist`: a folder of such a name is what they make, if anything."""
INSTALL = frozenset({"install", "ci", "add", "i"})
CACHES: Mapping[str, tuple[frozenset[str], str]] = {
    **dict.fromkeys(("npm", "yarn", "pnpm", "bun"), (INSTALL, "node_modules")),
    **dict.fromkeys(("terraform", "tofu"), (frozenset({"init"}), ".terraform")),
    "cargo": (frozenset({"build", "test", "run"}), "target"),
    "mvn": (frozenset({"package", "install", "verify", "compile"}), "target"),
}
"""The folder that a program fills, with the words that make it do so."""
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
"""Of these, `.` means all that lies in the folder."""


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
"""Every word of theirs that is no option and no option's value is a file's name."""
VALUE_OPTIONS = frozenset({"-n", "-c", "-d", "-f", "-w", "-b", "-A", "-B", "-C", "-m", "-k", "-t", "-s", "-a", "-j"})
CODE = frozenset({"awk", "gawk", "sed", "gsed", "jq", "yq"})
