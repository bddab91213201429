//! The embedded store behind core's port.
