//! Configuration documents and Score files: from texts to the core's types.
//!
//! [`read`] takes files of YAML or JSON, compares every document with the
//! schema of its kind and all documents with each other, and returns either all
//! of them or everything that is wrong, each with its place. [`schemas`] are
//! for editors, [`to_yaml`] is for what is exported.

mod beside;
mod check;
mod error;
mod export;
mod identify;
pub mod limits;
mod manifests;
mod node;
mod normalise;
mod path;
mod problem;
mod read;
mod scalar;
mod schema;
mod shown;
mod validate;
mod yaml;

pub use beside::{Beside, Folder, NoFiles, Sent, joined};
pub use check::APPLICATION_ANNOTATION;
pub use error::{DocumentError, DocumentName, render};
pub use export::{ExportError, to_yaml, to_yaml_documents};
pub use manifests::manifests;
pub use read::{Located, NamedFile, SourceFile, named_files, read, read_with};
pub use schema::{combined_schema, policy_input_schema, schema_for, schemas};
