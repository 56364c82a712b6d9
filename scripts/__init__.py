"""What is run from a checkout and installed nowhere; a package, so that the tests can import the benchmarks."""
