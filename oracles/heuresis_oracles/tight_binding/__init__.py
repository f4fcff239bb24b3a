"""What tblite and ASE compute for the oracles that use xTB: one quantity, one module."""
