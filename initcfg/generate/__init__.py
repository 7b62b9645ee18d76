"""From a plan to values: arrays in memory, or a file written as a stream."""
