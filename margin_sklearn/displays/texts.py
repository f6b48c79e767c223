"""Names of users in pictures: without mathematics, and no longer than their place."""

__all__ = ["fitting", "plain", "short", "width_of"]

# Longest text in a cell.
MAX_LETTERS = 14


def plain(text):
    r"""The text for matplotlib, which takes what stands between two dollars for mathematics.

    Parameters
    ----------
    text : str

    Returns
    -------
    text : str
        With ``\$`` for each dollar, in one line.
    """
    return " ".join(text.split()).replace("$", r"\$")


def short(text, n_letters=MAX_LETTERS):
    """The text, or its beginning and an ellipsis if it has too many letters.

    Parameters
    ----------
    text : str
    n_letters : int, default=14
        Largest number of letters, with the ellipsis.

    Returns
    -------
    text : str
    """
    return text if len(text) <= n_letters else text[: n_letters - 1] + "…"


def width_of(text, size):
    """Width of a text of one line.

    Parameters
    ----------
    text : str
    size : float or str
        Size of the letters, as matplotlib takes it.

    Returns
    -------
    width : float
        In points.
    """
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(size=size)
    return text_to_path.get_text_width_height_descent(text, font, ismath=False)[0]


def fitting(text, width, size):
    """The text, or as much of its beginning as has room, and an ellipsis.

    Parameters
    ----------
    text : str
    width : float
        In points.
    size : float or str
        Size of the letters, as matplotlib takes it.

    Returns
    -------
    text : str
    """
    text = " ".join(text.split())
    # Letters are wider than a point: longer beginnings need not be measured.
    for n_letters in range(min(len(text), int(width)), 1, -1):
        tried = short(text, n_letters)
        if width_of(tried, size) <= width:
            return tried
    return text[:1]
