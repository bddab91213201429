//! The domain of deployd: plain data and pure decisions.
