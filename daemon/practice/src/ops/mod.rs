//! What the API does to objects: each operation reads, checks and stores
//! under one lock, so that it sees no other halfway.

mod apply;
mod create;
mod delete;
mod prepare;
mod update;

pub(crate) use delete::{DeleteOptions, Deleted, FOREGROUND, ORPHAN};
pub(crate) use update::Change;

use std::sync::Arc;

use serde_json::Value;

use crate::apply::Writer;
use crate::resources::Resource;
use crate::status::ApiError;

/// What happens to fields that the type does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Unknown {
    /// The request is refused.
    Refuse,
    /// They are dropped, and the client is warned.
    #[default]
    Warn,
    /// They are dropped.
    Drop,
}

/// How a write is meant.
#[derive(Debug, Clone, Default)]
pub(crate) struct WriteOptions {
    /// The field manager's name.
    pub(crate) manager: String,
    /// Do everything but store.
    pub(crate) dry_run: bool,
    /// What happens to unknown fields.
    pub(crate) unknown: Unknown,
    /// Take fields from other appliers.
    pub(crate) force: bool,
}

impl WriteOptions {
    /// The options of one of the cluster's own parts.
    pub(crate) fn by(manager: &str) -> Self {
        Self { manager: manager.to_owned(), unknown: Unknown::Drop, ..Self::default() }
    }

    fn writer<'a>(
        &'a self,
        resource: &'a Resource,
        api_version: &'a str,
        subresource: &'a str,
        time: &'a str,
    ) -> Writer<'a> {
        Writer {
            manager: &self.manager,
            api_version,
            subresource,
            has_status: resource.has("status"),
            time,
        }
    }
}

/// What a write came to.
#[derive(Debug)]
pub(crate) struct Written {
    /// The object as it is stored, or would be.
    pub(crate) object: Arc<Value>,
    /// It did not exist before.
    pub(crate) created: bool,
    /// What the client should be warned of.
    pub(crate) warnings: Vec<String>,
}

fn full() -> ApiError {
    ApiError::new(500, "InternalError", "etcdserver: mvcc: database space exceeded")
}
