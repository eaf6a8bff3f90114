//! Many at the same time: commits that are shared, threads and executors.
