"""Binary network families, data sets, recipes and training."""
