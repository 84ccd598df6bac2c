# SPDX-License-Identifier: Apache-2.0
"""Which files go through LFS and which are ignored: `.gitattributes` and `.gitignore`, as git reads them."""

import re
from functools import lru_cache

LFS_THRESHOLD = 5_000_000
"""Bytes from which a file is always an LFS file."""

_LFS_SUFFIXES_TEXT = """
7z arrow bin bin.* bz2 ckpt ftz gz h5 joblib lfs.* mlmodel model msgpack npy npz onnx ot parquet pb
pickle pkl pt pth rar safetensors tar.* tar tflite tgz wasm xz zip zst
"""
_LFS_SUFFIXES = _LFS_SUFFIXES_TEXT.split()
_MEDIA_SUFFIXES_TEXT = """
gif jpg jpeg png webp bmp tiff ico mp3 mp4 ogg wav flac webm pdf woff woff2 ttf otf
"""
_MEDIA_SUFFIXES = _MEDIA_SUFFIXES_TEXT.split()


def default_gitattributes(repo_type: str) -> str:
    """The `.gitattributes` that a new repository starts with."""
    patterns = [f"*.{suffix}" for suffix in _LFS_SUFFIXES] + ["saved_model/**/*", "*tfevents*"]
    if repo_type == "dataset":
        patterns += [f"*.{suffix}" for suffix in _MEDIA_SUFFIXES]
    return "".join(f"{pattern} filter=lfs diff=lfs merge=lfs -text\n" for pattern in patterns)


class UploadRules:
    """The rules of one revision.

    Args:
        gitattributes: text of the revision's `.gitattributes`.
        gitignore: text of the `.gitignore` in force.
    """

    def __init__(self, gitattributes: str = "", gitignore: str = "") -> None:
        self._attributes: list[tuple[re.Pattern[str], bool]] = []
        for line in gitattributes.splitlines():
            words = line.split()
            if len(words) < 2 or words[0].startswith("#"):
                continue
            for word in words[1:]:
                if word == "filter=lfs":
                    self._attributes.append((_pattern(words[0]), True))
                elif word in ("-filter", "!filter") or word.startswith("filter="):
                    self._attributes.append((_pattern(words[0]), False))
        self._ignored: list[tuple[re.Pattern[str], bool, bool]] = []
        for line in gitignore.splitlines():
            rule = line.rstrip()
            if not rule or rule.startswith("#"):
                continue
            negated = rule.startswith("!")
            rule = rule.removeprefix("!").removeprefix("\\")
            folder_only = rule.endswith("/")
            if rule.strip("/"):
                self._ignored.append((_pattern(rule.rstrip("/")), not negated, folder_only))

    def mode(self, path: str, size: int, sample: bytes) -> str:
        """ "lfs" or "regular". The sample is the first bytes of the file."""
        if size == 0:
            return "regular"
        if size >= LFS_THRESHOLD:
            return "lfs"
        for pattern, lfs in reversed(self._attributes):
            if pattern.fullmatch(path):
                return "lfs" if lfs else "regular"
        if path.lower().endswith(tuple(f".{suffix}" for suffix in _MEDIA_SUFFIXES)) or b"\0" in sample:
            return "lfs"
        return "regular"

    def ignored(self, path: str) -> bool:
        """Whether `.gitignore` leaves the file out: the last rule that matches it or its folder decides."""
        parts = path.split("/")
        for depth in range(1, len(parts) + 1):
            verdict = self._verdict("/".join(parts[:depth]), is_folder=depth < len(parts))
            if verdict and depth < len(parts):
                return True  # git does not look inside an ignored folder
        return verdict

    def _verdict(self, path: str, *, is_folder: bool) -> bool:
        for pattern, ignore, folder_only in reversed(self._ignored):
            if (is_folder or not folder_only) and pattern.fullmatch(path):
                return ignore
        return False


@lru_cache(maxsize=1024)
def _pattern(glob: str) -> re.Pattern[str]:
    """A git pattern as a regular expression over whole paths."""
    anchored = "/" in glob.rstrip("/")
    glob = glob.strip("/")
    out = [] if anchored else ["(?:.*/)?"]
    i = 0
    while i < len(glob):
        if glob.startswith("**/", i):
            out.append("(?:.*/)?")
            i += 3
        elif glob.startswith("/**", i) and i + 3 == len(glob):
            out.append("/.*")
            i += 3
        elif glob[i] == "*":
            out.append("[^/]*")
            i += 1
        elif glob[i] == "?":
            out.append("[^/]")
            i += 1
        elif glob[i] == "[" and (end := glob.find("]", i + 2)) > 0:
            inside = glob[i + 1 : end].replace("\\", "\\\\").replace("[", "\\[")
            out.append("[^" + inside[1:] + "]" if inside[0] in "!^" else f"[{inside}]")
            i = end + 1
        else:
            if glob[i] == "\\" and i + 1 < len(glob):
                i += 1
            out.append(re.escape(glob[i]))
            i += 1
    try:
        return re.compile("".join(out), re.DOTALL)
    except re.error:
        return re.compile(re.escape(glob))  # a malformed class matches itself only
