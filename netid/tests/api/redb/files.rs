//! Which files are opened, and which are refused and left alone.
