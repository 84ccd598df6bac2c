# SPDX-License-Identifier: Apache-2.0
"""Checking that every blob is there and has its sha256."""

from dataclasses import dataclass, field

from xlt_hf.localhub.errors import CorruptBlobError
from xlt_hf.localhub.hub import Hub


@dataclass
class Report:
    """What a check found. `damaged` maps the sha256 of a blob that is needed to what is wrong with it."""

    checked: int = 0
    damaged: dict[str, str] = field(default_factory=dict)
    used_by: dict[str, list[str]] = field(default_factory=dict)
    unused: list[str] = field(default_factory=list)


def check(hub: Hub) -> Report:
    """Hash every blob that some commit or upload names, and find those that nothing names."""
    report = Report()
    with hub.db.read() as db:
        needed = {
            row[0]
            for row in db.execute(
                "SELECT sha256 FROM lfs_objects UNION SELECT sha256 FROM files WHERE (kind, oid) IN ("
                + _REACHABLE
                + ")"
            )
        }
        for sha256 in sorted(needed):
            report.checked += 1
            try:
                hub.blobs.verified_path(sha256)
            except CorruptBlobError as error:
                report.damaged[sha256] = str(error)
                report.used_by[sha256] = [row[0] for row in db.execute(_USED_BY, (sha256,))]
    report.unused = [sha256 for sha256 in hub.blobs.stored() if sha256 not in needed]
    return report


# Files of the trees of any commit, whether a reference still leads to it or not.
_REACHABLE = """
    WITH RECURSIVE reached(tree) AS (
        SELECT tree FROM commits
        UNION SELECT tree_entries.oid FROM tree_entries JOIN reached USING (tree) WHERE kind = 'tree'
    ) SELECT kind, oid FROM tree_entries JOIN reached USING (tree) WHERE kind != 'tree'
"""
_USED_BY = """
    SELECT DISTINCT repos.type || ' ' || accounts.name || '/' || repos.name || ' ' || tree_entries.name
    FROM files JOIN tree_entries ON tree_entries.kind = files.kind AND tree_entries.oid = files.oid
    JOIN commits ON commits.tree = tree_entries.tree
    JOIN repos ON repos.id = commits.repo_id JOIN accounts ON accounts.id = repos.owner_id
    WHERE files.sha256 = ? LIMIT 10
"""


def prune(hub: Hub, report: Report) -> int:
    """Remove the unused blobs; returns the bytes freed. Only while no server writes to the folder."""
    freed = 0
    for sha256 in report.unused:
        path = hub.blobs.path(sha256)
        freed += path.stat().st_size
        path.unlink()
    return freed
