"""Where one's own cases come from: a folder of images, images with masks, a table, or a phantom. Each is a dataclass for `Data(origin=...)`."""

from medjax.data.origins.folder import Folder as Folder
from medjax.data.origins.masks import Masks as Masks
from medjax.data.origins.phantom import Phantom as Phantom
from medjax.data.origins.phantom import Scanner as Scanner
from medjax.data.origins.table import Table as Table
