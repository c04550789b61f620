"""Parse the text of a program to a syntax tree, within limits.

Python's parser is recursive. The depth of nesting is therefore checked on tokens before parsing.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
import warnings
from collections import Counter
from collections.abc import Iterator

from symact.errors import ImportRefusedError

#: Maximum number of characters, and maximum nesting of brackets, signs, blocks, conditionals or
#: lambdas.
MAX_SOURCE, MAX_NESTING = 200_000, 60
#: Maximum number of calls, subscripts, attributes, powers or comparisons in a statement, and of
#: digits of a number.
MAX_CHAIN, MAX_DIGITS = 40 * MAX_NESTING, 400

_FENCE = re.compile(r"^[ \t]*(?:```|~~~)[^\n`]*$", re.MULTILINE)
_SIGNS = {"+", "-", "~", "not"}
_NESTING_WORDS = {"not", "lambda", "else", "if", "await"}
_CHAINED = {"**", ".", "[", "(", "{", "<", ">", "<=", ">=", "==", "!="}


def parsed(text: str) -> ast.Module:
    """Parse a program.

    A byte-order mark is removed. A text that is not Python is parsed again without its Markdown
    fence, if it has exactly one.

    Raises:
        ImportRefusedError: The text is too large, nests too deeply or is not Python.
    """
    text = text.removeprefix("\ufeff")
    if len(text) > MAX_SOURCE:
        raise ImportRefusedError(f"a program of {len(text)} characters; at most {MAX_SOURCE}")
    inner = _without_fence(text)
    if inner is None:
        return _tree(text)
    try:
        return _tree(text)
    except ImportRefusedError:
        return _tree(inner)


def _without_fence(text: str) -> str | None:
    """Return the content of the only Markdown fence. Line numbers stay the same."""
    fences = list(_FENCE.finditer(text))
    if len(fences) != 2:
        return None
    opening, closing = fences
    return "\n" * text.count("\n", 0, opening.end()) + text[opening.end() : closing.start()]


def _tree(text: str) -> ast.Module:
    _check_nesting(text)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except SyntaxError as error:
        what = " ".join(str(error.msg).split())
        raise ImportRefusedError(f"line {error.lineno}: no Python: {what}") from None
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:
        raise ImportRefusedError(f"no Python: {type(error).__name__}") from None


def _tokens(text: str) -> Iterator[tokenize.TokenInfo]:
    """Yield tokens until the first invalid token, which the parser reports."""
    try:
        yield from tokenize.generate_tokens(io.StringIO(text).readline)
    except (tokenize.TokenError, SyntaxError):
        return


def _check_nesting(text: str) -> None:
    depth = blocks = signs = 0
    counts: Counter[str] = Counter()  # of the statement so far
    for token in _tokens(text):
        kind, word, line = token.type, token.string, token.start[0]
        if kind == tokenize.STRING:  # before Python 3.12 an f-string is one token
            counts["{"] += word.count("{") if "f" in word[:3].lower() else 0
        if kind in (tokenize.COMMENT, tokenize.NL):
            continue
        if kind == tokenize.NEWLINE:
            counts.clear()
        blocks += (kind == tokenize.INDENT) - (kind == tokenize.DEDENT)
        depth = max(0, depth + (word in {"(", "[", "{"}) - (word in {")", "]", "}"}))
        signs = signs + 1 if word in _SIGNS else 0
        counts[word] += 1
        if kind == tokenize.NUMBER and len(word) > MAX_DIGITS:
            raise ImportRefusedError(f"line {line}: too long a number")
        words = counts[word] if word in _NESTING_WORDS else 0
        if max(depth, blocks, signs, words) > MAX_NESTING:
            raise ImportRefusedError(f"line {line}: nested too deeply")
        mark = "{" if kind == tokenize.STRING else word
        if mark in _CHAINED and counts[mark] > MAX_CHAIN:
            raise ImportRefusedError(f"line {line}: too long a chain")
