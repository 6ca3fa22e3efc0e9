"""From a file to a batch: cases, sources, data sets, splits, audits and the ledger of the sealed test set."""
