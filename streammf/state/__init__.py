"""Where the model lives: ids, live memory, the LMDB store, snapshots and recovery."""
