//! What the platform's definition says, and what the workload asks for.

use crate::Postgres;
use crate::sql::{IDENTIFIER_BYTES, check_identifier};
use deployd_plugin_sdk::driver::Request;
use deployd_plugin_sdk::{Fault, Installation, name};
use serde::Deserialize;
use std::collections::BTreeSet;

/// What the platform's definition says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Inputs {
    pub(crate) host: String,
    #[serde(default)]
    port: Port,
    #[serde(default = "postgres")]
    pub(crate) admin_user: String,
    pub(crate) admin_password: String,
    #[serde(default = "postgres")]
    pub(crate) maintenance_database: String,
    #[serde(default)]
    pub(crate) tls: Tls,
    pub(crate) server_name: Option<String>,
    name: Option<String>,
    username: Option<String>,
    pub(crate) owner: Option<String>,
    #[serde(default)]
    extensions: Vec<String>,
    #[serde(default)]
    allowed_extensions: Vec<String>,
    connection_limit: Option<u32>,
    #[serde(default)]
    pub(crate) options: Options,
    #[serde(default)]
    pub(crate) on_destroy: OnDestroy,
    #[serde(default = "first")]
    pub(crate) password_generation: u32,
    pub(crate) rotate_after_days: Option<u32>,
    #[serde(default)]
    pub(crate) installation: Installation,
}

fn postgres() -> String {
    "postgres".to_owned()
}

fn first() -> u32 {
    1
}

/// A number, or the text of one: an output of another resource may be either.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Port {
    Number(u16),
    Text(String),
}

impl Default for Port {
    fn default() -> Self {
        Self::Number(5432)
    }
}

/// Whether the connection is encrypted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Tls {
    #[default]
    Require,
    Prefer,
    Disable,
}

impl Tls {
    /// As libpq's `sslmode` has it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Require => "require",
            Self::Prefer => "prefer",
            Self::Disable => "disable",
        }
    }
}

/// What becomes of the database in the end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum OnDestroy {
    #[default]
    Rename,
    Keep,
    Drop,
    RefuseIfNotEmpty,
}

/// What can be chosen only when a database is made.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Options {
    pub(crate) encoding: Option<String>,
    pub(crate) locale: Option<String>,
    pub(crate) template: Option<String>,
    pub(crate) tablespace: Option<String>,
}

/// What the workload asks for. What other drivers of databases know is left to
/// them.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Params {
    extensions: Vec<String>,
    connection_limit: Option<u32>,
}

/// What is wanted, checked.
pub(crate) struct Wanted {
    pub(crate) port: u16,
    pub(crate) database: String,
    pub(crate) role: String,
    pub(crate) extensions: BTreeSet<String>,
    pub(crate) connection_limit: Option<u32>,
}

impl Inputs {
    fn port(&self) -> Result<u16, Fault> {
        match &self.port {
            Port::Number(port) => Ok(*port),
            Port::Text(text) => text
                .parse()
                .map_err(|_| Fault::invalid("/inputs/port", format!("{text:?} is no port"))),
        }
    }
}

impl Wanted {
    pub(crate) fn of(request: &Request<Postgres>) -> Result<Self, Fault> {
        let (inputs, params) = (&request.inputs, &request.params);
        let database = inputs.name.clone().unwrap_or_else(|| derived(request));
        check_identifier("/inputs/name", &database)?;
        let role = inputs.username.clone().unwrap_or_else(|| database.clone());
        check_identifier("/inputs/username", &role)?;
        if role.starts_with("pg_") {
            let path = if inputs.username.is_some() { "/inputs/username" } else { "/inputs/name" };
            return Err(Fault::invalid(path, "names of roles that begin with pg_ are reserved"));
        }
        check_identifier("/inputs/admin_user", &inputs.admin_user)?;
        check_identifier("/inputs/maintenance_database", &inputs.maintenance_database)?;
        if let Some(owner) = &inputs.owner {
            check_identifier("/inputs/owner", owner)?;
        }
        for (place, extension) in inputs.extensions.iter().enumerate() {
            check_identifier(&format!("/inputs/extensions/{place}"), extension)?;
        }
        for (place, extension) in params.extensions.iter().enumerate() {
            if !inputs.allowed_extensions.contains(extension)
                && !inputs.extensions.contains(extension)
            {
                let path = format!("/params/extensions/{place}");
                let allowed = inputs.allowed_extensions.join(", ");
                let message = format!("{extension:?} is none of the allowed extensions: {allowed}");
                return Err(Fault::invalid(path, message));
            }
            check_identifier(&format!("/params/extensions/{place}"), extension)?;
        }
        let connection_limit = match (inputs.connection_limit, params.connection_limit) {
            (Some(most), Some(wanted)) if wanted > most => {
                let message = format!("at most {most} connections are allowed, not {wanted}");
                return Err(Fault::invalid("/params/connection_limit", message));
            }
            (most, wanted) => wanted.or(most),
        };
        let extensions = inputs.extensions.iter().chain(&params.extensions).cloned().collect();
        Ok(Self { port: inputs.port()?, database, role, extensions, connection_limit })
    }
}

/// A name of this resource for ever: the same for the same uid, and where it
/// belongs, for people.
fn derived(request: &Request<Postgres>) -> String {
    let scope = &request.scope;
    let text = format!("{}-{}-{}", scope.application, scope.environment, request.id);
    let label = name::dns_label(&text).replace('-', "_");
    let short = request.inputs.installation.short(&request.uid);
    // Names of roles that begin with pg_ are the server's own.
    let prefix = if label.starts_with("pg_") { "db_" } else { "" };
    let room = IDENTIFIER_BYTES - short.len() - 1 - prefix.len();
    // Only ASCII is left, so every position is a boundary.
    let head = label.get(..room).unwrap_or(&label).trim_end_matches('_');
    format!("{prefix}{head}_{short}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use deployd_plugin_sdk::testing;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn wanted(params: &Value, more: &Value) -> Result<Wanted, Fault> {
        let mut inputs = json!({"host": "db", "admin_password": "admin"});
        let fields = inputs.as_object_mut().unwrap();
        fields.extend(more.as_object().unwrap().clone());
        Wanted::of(&testing::request::<Postgres>(params, &inputs)?)
    }

    #[test]
    fn names_say_where_they_belong() {
        let names = wanted(&json!({"storage": "2Gi"}), &json!({})).unwrap();
        let short = name::short("res-0001");
        assert_eq!(names.database, format!("shop_staging_1_main_{short}"));
        assert_eq!(names.role, names.database);
        let given = json!({"name": "Böse\"; --", "username": "r", "port": "6432"});
        let given = wanted(&json!({}), &given).unwrap();
        assert_eq!((given.database.as_str(), given.role.as_str()), ("Böse\"; --", "r"));
        assert_eq!(given.port, 6432);
    }

    proptest! {
        #[test]
        fn any_scope_gives_a_name(
            application in "pg[-_a-z]{0,3}|.{0,80}",
            id in ".{0,80}",
            uid: String,
        ) {
            let inputs = json!({"host": "db", "admin_password": "admin"});
            let mut request = testing::request::<Postgres>(&json!({}), &inputs).unwrap();
            request.scope.application = application;
            request.id = id;
            request.uid = uid;
            let name = derived(&request);
            prop_assert!(Wanted::of(&request).is_ok(), "{}", name);
            prop_assert!(name.ends_with(&name::short(&request.uid)));
        }
    }

    #[test]
    fn workloads_ask_within_what_is_allowed() {
        let most =
            json!({"connection_limit": 10, "extensions": ["a"], "allowed_extensions": ["b"]});
        let asked = json!({"connection_limit": 5, "extensions": ["b"]});
        let given = wanted(&asked, &most).unwrap();
        assert_eq!(given.connection_limit, Some(5));
        assert_eq!(given.extensions.len(), 2);
        for (params, place) in [
            (json!({"connection_limit": 11}), "/params/connection_limit"),
            (json!({"extensions": ["b", "c"]}), "/params/extensions/1"),
        ] {
            let fault = wanted(&params, &most).err().unwrap().to_string();
            assert!(fault.contains(place), "{fault}");
        }
    }

    #[test]
    fn what_can_not_be_is_named_by_its_place() {
        for (input, value) in [
            ("name", json!("x".repeat(64))),
            ("name", json!("pg_x")),
            ("username", json!("pg_monitor")),
            ("username", json!("a\u{0}b")),
            ("port", json!("http")),
            ("port", json!(70000)),
            ("tls", json!("maybe")),
            ("owner", json!("")),
            ("password", json!("in the clear")),
        ] {
            let fault = wanted(&json!({}), &json!({input: value})).err().unwrap().to_string();
            assert!(fault.contains(&format!("/inputs/{input}")), "{fault}");
        }
    }
}
