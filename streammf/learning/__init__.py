"""What is learned: the declaration of state and the kernels that change it.

Pure: arrays in, arrays out. No file, no socket, no thread and no wall clock in this room."""
