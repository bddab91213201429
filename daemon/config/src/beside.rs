//! Files that documents name by a path beside themselves: `source` of a Score
//! file, `baselineFile` of an environment type.

mod inline;
mod places;

pub use places::{Beside, Folder, NoFiles, Sent, joined};

pub(crate) use inline::{inline, named};
