"""Statistics, each computed in one place: trend, noise, periodicity."""
