"""The FUSE edge: pyfuse3 and trio, the daemon and its control socket."""
