"""Force fields as OpenMM systems."""
