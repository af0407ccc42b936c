"""The claims page: one HTML file, made from claims, tables, figures and benchmark files, that needs nothing else.

This file is read by the Snakefile: what the rules tell the page, and no more.
"""

from pathlib import Path

from headworks.digest import code_digest, digest, file_digest
from headworks.plan import Plan

HERE = Path(__file__).parent
MODULES = ("headworks.page.gather", "headworks.page.render")


def about(plan: Plan, study: str) -> dict:
    """What the page says of a study and no file among its results does; see `gather.gather`."""
    entries = plan.config.studies[study]
    tables = {item.table: plan.job(study, "tables", item.table) for item in entries.monitor.values()}
    return {
        "study": study,
        "scale": plan.config.scale,
        "paper": entries.paper.model_dump(mode="json"),
        "captions": {name: plan.figure_caption(study, name) for name in entries.figures},
        "monitor": {
            name: item.model_dump(mode="json", exclude_unset=True) for name, item in entries.monitor.items()
        },
        "tables": {
            name: {
                "room": "tables",
                "name": name,
                "path": plan.path(study, "tables", name),
                "key": job.key,
            }
            for name, job in tables.items()
        },
    }


def code() -> str:
    """Digest of the page's modules, templates, scripts and style sheets: an edit to any of them makes it anew."""
    parts = sorted(path for folder in ("templates", "static") for path in (HERE / folder).iterdir())
    return digest([code_digest(*MODULES), {path.name: file_digest(path) for path in parts if path.is_file()}])
