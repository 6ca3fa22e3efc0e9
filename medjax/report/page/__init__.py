"""`medjax report RUN`: one self-contained page, figures with their data, a model card and reporting checklists."""

from collections.abc import Callable
from pathlib import Path

from medjax.data.storage import write_atomically
from medjax.errors import InputError
from medjax.report.page import card, checklists, learning, reading, statements
from medjax.report.page import content as contents
from medjax.report.page import study as studies

PAGE, FIGURES = "report.html", "report/figures"
MOST_BYTES = 5_000_000  # of the page: it should open from a mail
_PICTURES = 2_000_000  # of them for thumbnails


def write(
    run: Path | str,
    *,
    study: Path | None = None,
    split: str | None = None,
    thumbnails: Callable[[list[str]], dict[str, bytes]] | None = None,
    learning_curve: Path | None = None,
) -> list[Path]:
    """Write the report of a finished run into its folder; the same folder gives the same bytes.

    Args:
        run: the run folder; nothing else is read (but `study`), and no data set is opened.
        study: study.toml, what no run can know; see `study.KEYS`.
        split: what to report; None: the first of test, external, out_of_fold and validation that was evaluated.
        thumbnails: case ids -> pictures (PNG or JPEG); None: single cases are shown by id alone.
        learning_curve: folder of a learning-curve run of the same data; None: none is shown.

    Returns:
        The files, `report.html` first: then model_card.md, tripod_ai.md, claim.md, and report/figures/*.svg with their *.csv.

    Raises:
        InputError: no run folder, an unfinished run, a split that was not evaluated, or a study.toml that cannot be used.
    """
    from medjax.report.page import figures, html

    run = Path(run)
    said = studies.read(study)
    found = reading.read(run, split)
    curve = learning.read(learning_curve, str(found.record.get("data", {}).get("name")))
    if found.split.startswith("external"):
        thumbnails = None  # the ids are those of other data
    content = contents.build(found, said, thumbnails, curve)
    if sum(map(len, content["pictures"].values())) > _PICTURES:
        content["pictures"] = {}
    page = html.page(content)
    if len(page.encode()) > MOST_BYTES:
        raise InputError(f"{run}: the page would be larger than {MOST_BYTES // 1_000_000} MB; please report this")
    facts = statements.statements(found)
    texts = {
        PAGE: page,
        "model_card.md": card.markdown(content, facts, said),
        "tripod_ai.md": checklists.markdown("tripod_ai", content["title"], facts, said),
        "claim.md": checklists.markdown("claim", content["title"], facts, said),
    }
    for figure in contents.figures(content):
        texts[f"{FIGURES}/{figure.name}.svg"] = figure.svg
        texts[f"{FIGURES}/{figure.name}.csv"] = figures.table(figure.columns)
    for old in (run / FIGURES).glob(
        "*"
    ):  # of a report on another split: it would stand beside this one as if it were its
        if old.suffix in (".svg", ".csv") and f"{FIGURES}/{old.name}" not in texts:
            old.unlink()
    for name, text in texts.items():
        write_atomically(run / name, text.encode())
    return [run / name for name in texts]


__all__ = ["MOST_BYTES", "PAGE", "write"]
