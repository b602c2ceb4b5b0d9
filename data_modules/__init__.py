"""Edit streams and evaluation suites: records, sources, samplers and LightningDataModules."""
