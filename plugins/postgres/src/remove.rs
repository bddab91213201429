//! What becomes of a database and its role in the end.
//!
//! A dump over the protocol would have to fit into a call: 64 MiB and 30
//! seconds. So the last copy of the data is the database itself, renamed.

use crate::inputs::OnDestroy;
use crate::session::{Mode, Row, Server, Session};
use crate::sql::{IDENTIFIER_BYTES, identifier};
use crate::steps::Whose;
use crate::there::There;
use deployd_plugin_sdk::net::Connection;
use deployd_plugin_sdk::{Fault, Host, shown};

/// Looks at those who were told to go: each is 100 ms.
const LOOKS: usize = 50;
/// Tables that are looked into; with more, there is data for sure.
const TABLES: usize = 1000;

/// A database and its role.
pub(crate) struct Names<'a> {
    pub(crate) whose: &'a Whose<'a>,
    pub(crate) database: &'a str,
    pub(crate) role: &'a str,
    /// Whether another database goes on with the role.
    pub(crate) role_stays: bool,
}

impl Names<'_> {
    /// Refuses when there is data that must not be lost. Changes nothing.
    pub(crate) fn check<H: Host>(
        &self,
        server: &Server<'_, H>,
        there: &There,
        how: OnDestroy,
    ) -> Result<(), Fault> {
        let usable = there.database.as_ref().is_some_and(|found| !found.is_invalid);
        if how != OnDestroy::RefuseIfNotEmpty
            || !usable
            || !there.database_is_of(self.whose, self.role)
        {
            return Ok(());
        }
        let mut session = server.open(self.database, Mode::ReadOnly)?;
        let data = first_data(&mut session)?;
        session.close();
        match data {
            None => Ok(()),
            Some(data) => Err(Fault::conflict(format!(
                "the database {:?} is not empty: there is {data}; empty it, or set the input \
                 `on_destroy` to `rename` or `drop`",
                self.database
            ))),
        }
    }

    /// Takes them away, as far as they are ours and are there.
    pub(crate) fn remove<H: Host>(
        &self,
        host: &H,
        session: &mut Session<H::Connection>,
        there: &There,
        how: OnDestroy,
    ) -> Result<(), Fault> {
        let (database, role) = (identifier(self.database), identifier(self.role));
        let ours = there.database_is_of(self.whose, self.role);
        let role_goes = there.role_is_of(self.whose) && !self.role_stays;
        if there.database.is_some() && !ours {
            host.warn(&format!(
                "the database {:?} is somebody else's now, and stays",
                self.database
            ));
        }
        match how {
            OnDestroy::Keep | OnDestroy::Rename => {
                if role_goes && there.role.as_ref().is_some_and(|role| role.can_login) {
                    session.run("ending log-ins", &format!("alter role {role} nologin"))?;
                }
                let invalid = there.database.as_ref().is_some_and(|found| found.is_invalid);
                if ours && invalid {
                    // Nobody can have anything of it any more.
                    session.run("dropping the rest", &format!("drop database {database}"))?;
                } else if ours && how == OnDestroy::Rename {
                    let aside = aside(self.database, host.now_ms());
                    self.set_aside(session, &database, &aside)?;
                    host.info(&format!("{:?} is now {aside:?}", self.database));
                }
            }
            OnDestroy::Drop | OnDestroy::RefuseIfNotEmpty => {
                if ours {
                    // Whoever is connected has data to lose.
                    let force = if how == OnDestroy::Drop { " with (force)" } else { "" };
                    let drop = format!("drop database if exists {database}{force}");
                    let dropped = session.run("dropping the database", &drop);
                    dropped.or_else(|fault| self.not_ended(session, fault))?;
                }
                if role_goes {
                    session.run("dropping the role", &format!("drop role if exists {role}"))?;
                }
            }
        }
        Ok(())
    }

    fn set_aside<C: Connection>(
        &self,
        session: &mut Session<C>,
        database: &str,
        aside: &str,
    ) -> Result<(), Fault> {
        let doing = "setting the database aside";
        session.run(doing, &format!("alter database {database} allow_connections false"))?;
        self.disconnect(session)?;
        let rename = format!("alter database {database} rename to {}", identifier(aside));
        session.run(doing, &rename)
    }

    /// Ends all connections, and waits until they are gone.
    fn disconnect<C: Connection>(&self, session: &mut Session<C>) -> Result<(), Fault> {
        for _ in 0..LOOKS {
            let others = self.others(session)?;
            if others.is_empty() {
                return Ok(());
            }
            for other in &others {
                let pid = other.pid.to_string();
                let ended = session.query(
                    "ending connections",
                    "select pg_terminate_backend($1::int)",
                    &[&pid],
                );
                ended.map(drop).or_else(|fault| self.not_ended(session, fault))?;
            }
            session.run("waiting for connections to end", "select pg_sleep(0.1)")?;
        }
        Err(Fault::unavailable(format!(
            "the database {:?} is still connected to, and can't be set aside",
            self.database
        )))
    }

    /// Who else is connected. Workers of the server itself go when they are in the
    /// way; nobody may end them but a superuser. Of which kind a session of a
    /// superuser is, others are not told; such a worker has no user.
    fn others<C: Connection>(&self, session: &mut Session<C>) -> Result<Vec<Other>, Fault> {
        let rows = session.query(
            "looking for connections",
            "select pid, usename, application_name from pg_stat_activity \
             where datname = $1 and pid <> pg_backend_pid() \
             and (backend_type = 'client backend' or (backend_type is null and usesysid is not null))",
            &[self.database],
        )?;
        let other = |row: &Row| Other {
            pid: row.number(0).unwrap_or_default(),
            user: row.owned(1),
            application: row.owned(2),
        };
        Ok(rows.iter().map(other).collect())
    }

    /// What it means that the account may not do it: while somebody of more rights
    /// is connected, something that passes.
    fn not_ended<C: Connection>(
        &self,
        session: &mut Session<C>,
        fault: Fault,
    ) -> Result<(), Fault> {
        let Fault::Denied(denied) = &fault else { return Err(fault) };
        let Some(Other { pid, user, application }) = self.others(session)?.into_iter().next()
        else {
            return Err(fault);
        };
        Err(Fault::unavailable(format!(
            "the database {:?} is connected to by {user:?} ({}, process {pid}), whom this account \
             may not disconnect: {denied}; end that session, or wait until it ends",
            self.database,
            shown(&application)
        )))
    }
}

/// A session of somebody else.
struct Other {
    pid: i64,
    user: String,
    application: String,
}

/// `NAME_until_20261121_143015`
fn aside(database: &str, now_ms: u64) -> String {
    let dated = format!("_until_{}", date(now_ms / 1000));
    let mut room = IDENTIFIER_BYTES.saturating_sub(dated.len());
    while !database.is_char_boundary(room.min(database.len())) {
        room -= 1;
    }
    let head = database.get(..room).unwrap_or(database);
    format!("{head}{dated}")
}

/// `20261121_143015` in UTC.
fn date(seconds: u64) -> String {
    let (days, time) = (seconds / 86_400, seconds % 86_400);
    // Days from 0000-03-01, so that leap days end years; then eras of 400 years
    // (Howard Hinnant's algorithm).
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
    format!("{year:04}{month:02}{day:02}_{hour:02}{minute:02}{second:02}")
}

/// What data there is: the first table with a row, or large objects.
fn first_data<C: Connection>(session: &mut Session<C>) -> Result<Option<String>, Fault> {
    let doing = "looking for data";
    // Tables and materialised views that are neither the system's nor an
    // extension's.
    let tables = session.query(
        doing,
        "select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace \
         where c.relkind in ('r', 'p', 'm') and c.relpersistence <> 't' \
         and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast') \
         and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass \
         and d.objid = c.oid and d.deptype = 'e') order by 1, 2",
        &[],
    )?;
    if tables.len() > TABLES {
        return Ok(Some(format!("{} tables", tables.len())));
    }
    for table in &tables {
        let (schema, table) = (table.owned(0), table.owned(1));
        let select =
            format!("select exists (select from {}.{})", identifier(&schema), identifier(&table));
        if session.query(doing, &select, &[])?.first().is_some_and(|row| row.is(0)) {
            return Ok(Some(format!("a row in the table {schema:?}.{table:?}")));
        }
    }
    let objects = "select exists (select from pg_largeobject_metadata)";
    let some = session.query(doing, objects, &[])?.first().is_some_and(|row| row.is(0));
    Ok(some.then(|| "a large object".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, wanted) in [
            (0, "19700101_000000"),
            (951_782_399, "20000228_235959"),
            (951_782_400, "20000229_000000"),
            (1_795_271_415, "20261121_143015"),
            (4_107_542_400, "21000301_000000"),
        ] {
            assert_eq!(date(seconds), wanted);
        }
    }

    #[test]
    fn a_name_that_is_set_aside_fits() {
        assert_eq!(aside("shop", 0), "shop_until_19700101_000000");
        for name in ["x".repeat(63), "é".repeat(31), "日".repeat(21)] {
            let aside = aside(&name, 0);
            assert!(aside.len() <= 63 && aside.ends_with("_until_19700101_000000"), "{aside}");
        }
    }
}
