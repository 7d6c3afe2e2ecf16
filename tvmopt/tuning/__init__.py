"""Search for schedules that are faster than the default ones: what to tune, how candidates are measured and chosen."""
