//! Against a real server.

mod broken;
mod changes;
mod faults;
mod hostile;
mod lifecycle;
mod stage;
