"""When a criterion was last changed: the commit, asked of git."""

import subprocess
from pathlib import Path

import yaml


def criterion_commit(folder: Path, study: str, claim: str) -> str | None:
    """The latest commit among the lines of a claim's criterion in its study's file.

    'uncommitted' if a line is not committed yet; None without git, or where the criterion is not in the file.
    """
    for path in sorted(folder.glob("*.y*ml")):
        text = path.read_text(encoding="utf-8")
        node = yaml.compose(text)
        if _value(node, "study") is not None and _value(node, "study").value == study:
            found = _value(_value(_value(node, "claims"), claim), "criterion")
            return (
                _blame(path, found.start_mark.line + 1, _last_line(found) + 1) if found is not None else None
            )
    return None


def _value(node: yaml.Node | None, key: str) -> yaml.Node | None:
    """The value of a key of a YAML mapping, with its place in the file."""
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return next((value for name, value in pairs if name.value == key), None)


def _last_line(node: yaml.Node) -> int:
    """Of a node; the end that YAML gives for a block is that of the white space after it, on another key's line."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _last_line(last[1] if isinstance(last, tuple) else last)
    return node.end_mark.line


def _blame(path: Path, first: int, last: int) -> str | None:
    command = ["git", "blame", "--porcelain", "-L", f"{first},{last}", "--", str(path)]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    except OSError:
        return None
    except subprocess.CalledProcessError:
        return "uncommitted" if _in_repository() else None
    commits, times = set(), {}
    current = ""
    for line in found:
        words = line.split(" ")
        if len(words[0]) == 40 and len(words) >= 3:
            current = words[0]
            commits.add(current)
        elif words[0] == "committer-time":
            times[current] = int(words[1])
    if any(set(commit) == {"0"} for commit in commits):
        return "uncommitted"
    return max(commits, key=lambda commit: times.get(commit, 0), default=None)


def _in_repository() -> bool:
    """Whether this is the work tree of a repository: git blames no file that was never committed."""
    return subprocess.run(["git", "rev-parse", "--is-inside-work-tree"], capture_output=True).returncode == 0
