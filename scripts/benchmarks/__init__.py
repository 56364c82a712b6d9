"""Benchmarks of StreamMF beside its peers.

Rules of this package:
1. What is compared is measured in the same run, in turns, several times; shown are medians and the range of the runs.
2. What is measured runs in a process of its own, and its clock starts when everything is imported, compiled and connected.
3. A figure that misses its bar is shown as such; no bar is changed here to be met.
"""
