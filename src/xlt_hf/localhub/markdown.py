# SPDX-License-Identifier: Apache-2.0
"""Cards as HTML that is safe to show: no HTML of the author's own gets through."""

import posixpath
import re
from collections.abc import Sequence
from html import escape
from urllib.parse import quote, unquote, urlsplit

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

_COMMENT = re.compile(r"\s*<!--.*?-->\s*", re.DOTALL)
_LINE_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_DEVANAGARI = re.compile(r"[\u0900-\u097f]")
_LETTER = re.compile(r"[^\W\d_]")
_DEVANAGARI_LANGUAGES = ("hi", "mr", "ne", "sa", "bho", "mai", "kok", "doi", "brx")
_BLOCKS = ("paragraph_open", "heading_open", "td_open", "th_open")


def _html(renderer: RendererHTML, tokens: Sequence[Token], index: int, options: object, env: object) -> str:
    """HTML in a card is shown as text, but for comments, which templates are full of, and line breaks."""
    content = tokens[index].content
    if _LINE_BREAK.fullmatch(content.strip()):
        return "<br>"
    rest = _COMMENT.sub("", content)
    return escape(rest)


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    parser.add_render_rule("html_block", _html)
    parser.add_render_rule("html_inline", _html)
    return parser


_PARSER = _parser()


def render_markdown(
    text: str, repo_path: str, revision: str, folder: str = "", languages: Sequence[str] = ()
) -> str:
    """Markdown as HTML.

    Args:
        repo_path: path of the repository's page, without slashes around it.
        revision: revision that relative links lead to.
        folder: the file's folder in the repository.
        languages: languages of the card, to mark text in Devanagari with the right one.
    """
    tokens = _PARSER.parse(text)
    language = next((code for code in languages if code in _DEVANAGARI_LANGUAGES), "hi")
    for i, token in enumerate(tokens):
        style = token.attrs.pop("style", None)
        if style:  # the page's policy allows no inline style
            token.attrSet("class", str(style).removeprefix("text-align:"))
        if token.type in _BLOCKS and mostly_devanagari(tokens[i + 1].content):
            token.attrSet("lang", language)
        for child in token.children or []:
            _point(child, repo_path, revision, folder)
    return str(_PARSER.renderer.render(tokens, _PARSER.options, {}))


def mostly_devanagari(text: str) -> bool:
    """Whether most letters are Devanagari, so that a reader is told the language."""
    return len(_DEVANAGARI.findall(text)) > len(_LETTER.findall(text)) / 2


def _point(token: Token, repo_path: str, revision: str, folder: str) -> None:
    """Lead a relative link to the file's page, a relative image to its bytes."""
    if token.type == "link_open":
        target = str(token.attrGet("href") or "")
        token.attrSet("href", _absolute(target, f"/{repo_path}/blob/{quote(revision, safe='')}", folder))
        if urlsplit(target).netloc:
            token.attrSet("rel", "nofollow noopener noreferrer")
    elif token.type == "image":
        target = str(token.attrGet("src") or "")
        token.attrSet("src", _absolute(target, f"/{repo_path}/resolve/{quote(revision, safe='')}", folder))


def _absolute(target: str, base: str, folder: str) -> str:
    parts = urlsplit(target)
    if parts.scheme or parts.netloc or target.startswith(("/", "#")) or not parts.path:
        return target
    path = posixpath.normpath(posixpath.join("/", folder, unquote(parts.path)))
    return f"{base}{quote(path)}" + (f"#{parts.fragment}" if parts.fragment else "")
