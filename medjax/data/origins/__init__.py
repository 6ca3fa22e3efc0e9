"""Where one's own cases come from: images, images with masks, a table, events over time, or a phantom, for `Data(origin=...)`."""

from medjax.data.origins.event_content import EventTable as EventTable
from medjax.data.origins.events import Events as Events
from medjax.data.origins.folder import Folder as Folder
from medjax.data.origins.masks import Masks as Masks
from medjax.data.origins.phantom import Phantom as Phantom
from medjax.data.origins.phantom import Scanner as Scanner
from medjax.data.origins.table import Table as Table
