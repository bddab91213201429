//! How much is read before something is refused.
//!
//! Texts come from the network as well as from a developer's disk. Every limit
//! is far above what a platform team writes and far below what would hurt.

/// Bytes of one file. Kubernetes refuses objects above 1.5 MiB, and a file of
/// documents for a person is smaller.
pub const FILE_BYTES_MAX: usize = 1024 * 1024;

/// Files in one go: an application per file for a thousand applications.
pub const FILES_MAX: usize = 1000;

/// Bytes of all files together, so that what is held in memory at once is
/// bounded whatever the number of files.
pub const TOTAL_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Documents in one file.
pub const DOCUMENTS_MAX: usize = 500;

/// Maps and lists within each other. A Kubernetes manifest inside a resource
/// definition needs about 20; what walks the tree may recurse this deep.
pub const DEPTH_MAX: usize = 64;

/// Values in one file, those that aliases repeat counted each time.
pub const NODES_MAX: usize = 100_000;

/// Documents in one file of manifests: a chart with all its definitions of resources
/// has a few hundred.
pub const MANIFEST_DOCUMENTS_MAX: usize = 2_000;

/// Values in one file of manifests. Schemas of custom resources have tens of thousands
/// each, and a namespace comes as one file.
pub const MANIFEST_NODES_MAX: usize = 500_000;

/// Bytes of text that aliases may repeat in one file, keys included.
pub const ALIASED_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of a file named by `source` or `baselineFile`: what fits into a
/// Kubernetes ConfigMap or Secret.
pub const BESIDE_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of all such files together: a name costs nothing, its file does.
pub const BESIDE_TOTAL_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Errors that are reported. Nobody reads more, and the answer stays small.
pub const ERRORS_MAX: usize = 500;

/// Characters of a value that an error shows.
pub(crate) const SHOWN_CHARS_MAX: usize = 60;

/// Names that an error lists as possible.
pub(crate) const LISTED_MAX: usize = 25;
