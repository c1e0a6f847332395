"""Many runs of one app: grids of settings, searches for good ones, and how the runs compare."""
