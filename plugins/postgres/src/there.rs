//! What is there: the server, the role, the database.

use crate::session::Session;
use crate::steps::Whose;
use deployd_plugin_sdk::net::Connection;
use deployd_plugin_sdk::{Fault, Installation};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The oldest version whose `drop database` can end connections.
const OLDEST: i64 = 130_000;

/// What stands in the comment of a role and of a database: whose they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// The resource's uid.
    pub(crate) resource: String,
    /// For people: application and environment.
    pub(crate) environment: String,
    /// The installation of deployd.
    #[serde(default = "default_installation", skip_serializing_if = "is_default")]
    pub(crate) installation: String,
    /// Stands for the password that was set last; the role's alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) password: Option<String>,
}

fn default_installation() -> String {
    Installation::default().to_string()
}

fn is_default(installation: &str) -> bool {
    installation == default_installation()
}

#[derive(Serialize, Deserialize)]
struct Comment {
    deployd: Mark,
}

impl Mark {
    pub(crate) fn read(comment: Option<&str>) -> Option<Self> {
        serde_json::from_str(comment?).ok().map(|comment: Comment| comment.deployd)
    }

    pub(crate) fn text(self) -> Result<String, Fault> {
        serde_json::to_string(&Comment { deployd: self })
            .map_err(|error| Fault::permanent(error.to_string()))
    }
}

/// A role of the wanted name.
pub(crate) struct Role {
    pub(crate) can_login: bool,
    pub(crate) connection_limit: Option<u32>,
    pub(crate) mark: Option<Mark>,
    /// Whether we may act for it: we are its members, or may do everything.
    pub(crate) is_ours_to_use: bool,
}

/// A database of the wanted name.
pub(crate) struct Database {
    pub(crate) owner: String,
    pub(crate) encoding: String,
    pub(crate) allows_connections: bool,
    /// Half of it was dropped, and nobody can connect any more.
    pub(crate) is_invalid: bool,
    pub(crate) mark: Option<Mark>,
    /// Whether everybody may connect.
    pub(crate) is_open: bool,
    /// Whether the role may connect.
    pub(crate) lets_role_in: bool,
}

/// All of it.
pub(crate) struct There {
    pub(crate) role: Option<Role>,
    pub(crate) database: Option<Database>,
}

/// Refuses a server that we can't use: too old, or a standby.
pub(crate) fn check_server<C: Connection>(session: &mut Session<C>) -> Result<(), Fault> {
    let rows = session.query(
        "looking at the server",
        "select pg_catalog.current_setting('server_version_num'), pg_catalog.pg_is_in_recovery()",
        &[],
    )?;
    let row = rows.first();
    let version = row.and_then(|row| row.number(0)).unwrap_or_default();
    if version < OLDEST {
        let major = version / 10_000;
        return Err(Fault::permanent(format!("PostgreSQL {major}: 13 or later is needed")));
    }
    if row.is_some_and(|row| row.is(1)) {
        // After a failover, the name may soon lead to the right one.
        return Err(Fault::unavailable(
            "the server is a standby, which is read-only; the input `host` has to be the primary",
        ));
    }
    Ok(())
}

impl There {
    /// Looks.
    pub(crate) fn look<C: Connection>(
        session: &mut Session<C>,
        database: &str,
        role: &str,
    ) -> Result<Self, Fault> {
        let roles = session.query(
            "looking for the role",
            "select rolcanlogin, rolconnlimit, shobj_description(oid, 'pg_authid'), \
             pg_has_role(oid, 'usage') from pg_roles where rolname = $1",
            &[role],
        )?;
        let role_there = roles.first().map(|row| Role {
            can_login: row.is(0),
            connection_limit: row.number(1).and_then(|limit| u32::try_from(limit).ok()),
            mark: Mark::read(row.text(2)),
            is_ours_to_use: row.is(3),
        });
        // A role that is not there has no privileges; to ask is an error.
        let databases = session.query(
            "looking for the database",
            "select pg_get_userbyid(d.datdba), pg_encoding_to_char(d.encoding), d.datallowconn, \
             d.datconnlimit, shobj_description(d.oid, 'pg_database'), \
             has_database_privilege('public', d.oid, 'connect'), \
             coalesce((select has_database_privilege(r.oid, d.oid, 'connect') \
             from pg_roles r where r.rolname = $2), false) \
             from pg_database d where d.datname = $1",
            &[database, role],
        )?;
        let database = databases.first().map(|row| Database {
            owner: row.owned(0),
            encoding: row.owned(1),
            allows_connections: row.is(2),
            is_invalid: row.number(3) == Some(-2),
            mark: Mark::read(row.text(4)),
            is_open: row.is(5),
            lets_role_in: row.is(6),
        });
        Ok(Self { role: role_there, database })
    }

    /// Whether the role is this resource's.
    pub(crate) fn role_is_of(&self, whose: &Whose<'_>) -> bool {
        let mark = self.role.as_ref().and_then(|role| role.mark.as_ref());
        mark.is_some_and(|mark| whose.have(mark))
    }

    /// Whether the database is this resource's: by its mark, or, before it has
    /// one, because this resource's role owns it, which makes no databases.
    pub(crate) fn database_is_of(&self, whose: &Whose<'_>, role: &str) -> bool {
        let Some(database) = &self.database else { return false };
        match &database.mark {
            Some(mark) => whose.have(mark),
            None => database.owner == role && self.role_is_of(whose),
        }
    }

    /// Refuses what is somebody else's.
    pub(crate) fn check_ours(
        &self,
        ours: &Whose<'_>,
        database: &str,
        role: &str,
    ) -> Result<(), Fault> {
        let whose = |mark: Option<&Mark>| match mark {
            Some(mark) if mark.installation != ours.installation.as_str() => format!(
                "it is of {}, resource {}, of another installation of deployd, {:?}",
                mark.environment, mark.resource, mark.installation
            ),
            Some(mark) => format!("it is of {}, resource {}", mark.environment, mark.resource),
            None => "it was not made by deployd".to_owned(),
        };
        if let Some(there) = &self.role
            && !self.role_is_of(ours)
        {
            return Err(Fault::conflict(format!(
                "there is a role {role:?} already: {}; choose another input `username` or `name`, \
                 or take the role away",
                whose(there.mark.as_ref())
            )));
        }
        if let Some(there) = &self.database
            && !self.database_is_of(ours, role)
        {
            return Err(Fault::conflict(format!(
                "there is a database {database:?} already, owned by {:?}: {}; choose another \
                 input `name`, or rename the database",
                there.owner,
                whose(there.mark.as_ref())
            )));
        }
        Ok(())
    }

    /// What stands for the role's password.
    pub(crate) fn password(&self) -> Option<&str> {
        self.role.as_ref()?.mark.as_ref()?.password.as_deref()
    }
}

/// What is there inside a database.
pub(crate) struct Inside {
    pub(crate) extensions: BTreeSet<String>,
    /// Whether the role may make tables in the schema `public`; none without one.
    pub(crate) may_create: Option<bool>,
}

impl Inside {
    /// Looks, in a session with the database.
    pub(crate) fn look<C: Connection>(session: &mut Session<C>, role: &str) -> Result<Self, Fault> {
        let extensions =
            session.query("listing extensions", "select extname from pg_extension", &[])?;
        let schemas = session.query(
            "looking at the schema public",
            "select coalesce((select has_schema_privilege(r.oid, n.oid, 'create') \
             from pg_roles r where r.rolname = $1), false) \
             from pg_namespace n where n.nspname = 'public'",
            &[role],
        )?;
        Ok(Self {
            extensions: extensions.iter().map(|row| row.owned(0)).collect(),
            may_create: schemas.first().map(|row| row.is(0)),
        })
    }
}
