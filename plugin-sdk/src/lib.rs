//! What the author of a deployd plugin depends on.
