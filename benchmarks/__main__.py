"""Fill the kept results into benchmarks/README.md.

python -m benchmarks
"""

import json
from pathlib import Path

from benchmarks.timing import RESULTS, conditions, markdown
from headworks.store import write_text

README = Path(__file__).parent / "README.md"
START, END = "<!-- results: python -m benchmarks -->\n", "<!-- end of results -->\n"
COMPARISONS = {
    "training": "Training",
    "clamping": "Training with a clamp",
    "ablation": "Ablation sweep",
    "store": "Store",
    "threads": "Threads",
}


def section(name: str, title: str) -> str:
    kept = json.loads((RESULTS / f"{name}.json").read_text())
    return f"### {title}\n\n{markdown(kept['rows'])}\n\n{conditions(kept['facts'])}\n"


def main() -> None:
    before, rest = README.read_text().split(START)
    after = rest.split(END)[1]
    sections = "\n".join(section(name, title) for name, title in COMPARISONS.items())
    write_text(README, f"{before}{START}\n{sections}\n{END}{after}")


if __name__ == "__main__":
    main()
