"""Small pictures of single cases of a run, for its report."""

from collections.abc import Callable
from pathlib import Path

from medjax import config, folder
from medjax.data.dataset import fingerprint, prepare
from medjax.errors import InputError
from medjax.report.contact_sheet import PICTURES, png, read_pictures, tile


def thumbnails(
    run: Path, *, data_dir: Path | None = None, config_file: Path | None = None
) -> Callable[[list[str]], dict[str, bytes]] | None:
    """Return what turns ids of a run's own cases into pictures (PNG); None where its cases have none.

    Only the cases asked for are read, and of them only the picture. A report asks for cases of the split that it reports,
    whose evaluation was written before.

    Args:
        run: the run folder.
        data_dir: folder of original data files; None: MEDJAX_DATA.
        config_file: the configuration file, where it defines its own classes or functions.

    Raises:
        InputError: the data are not here, or not those that the run was trained on.
    """
    if config_file is not None:
        config.load_experiment(config_file)
    record = folder.read_json(run / folder.RECORD)
    data = config.decode(folder.read_json(run / folder.CONFIG)).data
    if not set(PICTURES) & set(data.inputs):
        return None
    dataset = prepare(data.name, data_dir, data.origin)
    if fingerprint(dataset) != record.get("data", {}).get("fingerprint"):
        raise InputError(f"the data set {dataset.name} is not the one that {run} was trained on")
    key = next(name for name in PICTURES if name in dataset.inputs)

    def pictures(ids: list[str]) -> dict[str, bytes]:
        return {name: png(tile(array)) for name, array in read_pictures(dataset, key, ids).items()}

    return pictures
