//! Black-box tests: the structure of the workspace, and the daemon as its users
//! run it. One binary, because linking is what takes long.

mod dependencies;
