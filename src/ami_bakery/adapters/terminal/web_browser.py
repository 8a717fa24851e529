"""Opens files in the user's web browser."""

from __future__ import annotations


def open_page(path: str) -> bool:
    """Opens an HTML file. Returns False if no browser was found.

    The variable BROWSER names the program, as for other programs (https://docs.python.org/3/library/webbrowser.html).
    """
    # Imported here: every command imports this module.
    import webbrowser
    from pathlib import Path

    try:
        return webbrowser.open(Path(path).absolute().as_uri())
    except webbrowser.Error:
        return False
