//! Pages of lists.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::limits::{PAGE_DEFAULT, PAGE_MAX};

/// How many entries a page has: 1 to 500.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "usize")]
pub(super) struct PageSize(pub(super) usize);

impl Default for PageSize {
    fn default() -> Self {
        Self(PAGE_DEFAULT)
    }
}

impl TryFrom<usize> for PageSize {
    type Error = String;

    fn try_from(size: usize) -> Result<Self, String> {
        if (1..=PAGE_MAX).contains(&size) {
            Ok(Self(size))
        } else {
            Err(format!("found {size}, expected 1 to {PAGE_MAX}"))
        }
    }
}

impl JsonSchema for PageSize {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PageSize".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "integer", "minimum": 1, "maximum": PAGE_MAX, "default": PAGE_DEFAULT,
        })
    }
}

impl PageSize {
    /// Path and query of the next page, which end where that begins: none where this
    /// one is not full.
    pub(super) fn next<T>(
        self,
        page: &[T],
        path: &str,
        after: impl FnOnce(&T) -> String,
    ) -> Option<String> {
        let last = page.last().filter(|_| page.len() >= self.0)?;
        Some(format!("{path}{}&limit={}", after(last), self.0))
    }
}
