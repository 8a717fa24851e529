"""The audit: what a build opened, from the lines of `strace`, compared with the digest."""
