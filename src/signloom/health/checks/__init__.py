"""The doctor's checks: a module for each kind of measurement, and the modules that measure."""
