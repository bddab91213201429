//! Driver `postgres`: a database and a role of its own for each resource, on a
//! PostgreSQL server, version 13 or later.
//!
//! ```yaml
//! apiVersion: deployd.dev/v1
//! kind: Plugin
//! metadata: { name: postgres }
//! spec:
//!   kind: driver
//!   source: { shipped: postgres }
//!   grant:
//!     hosts:
//!       - scheme: tls          # `tcp` for `tls: disable` or `prefer`
//!         host: db.example.com
//!         port: 5432
//!         privateAddress: true # the name leads into the company's network
//!         ca: { secret: db-ca } # who signed the server's certificate
//!     secrets: { admin: staging-db-admin } # deployd secret set staging-db-admin
//!     reveal: [admin]          # the driver logs in with it; each use is journalled
//! ---
//! apiVersion: deployd.dev/v1
//! kind: ResourceDefinition
//! metadata: { name: postgres-staging }
//! spec:
//!   type: postgres
//!   criteria:
//!     - environmentType: staging
//!   driver: postgres
//!   inputs:
//!     host: db.example.com
//!     admin_user: deployd
//!     admin_password: admin
//!     extensions: [pgcrypto]
//!     allowed_extensions: [hstore, citext]
//!     connection_limit: 50
//!     on_destroy: rename
//!     rotate_after_days: 90
//! ```
//!
//! Outputs are those that Score's `postgres` has: `host`, `port`, `name` (and
//! `database`, the same), `username`, `password`; `url`; and `password-1` and so
//! on, which lead to the same password as `password` does. Beside them stands
//! what drift is seen by: `owner`, `connection_limit`, `extensions`, `can_log_in`
//! and `password_serial`. A workload may have `params: {extensions, connection_limit}`.
//!
//! **The account** is a superuser, or has CREATEDB and CREATEROLE; it becomes a
//! member of the roles that it makes. It logs in with SCRAM-SHA-256; with MD5 or
//! in the clear, as LDAP behind a server needs, inside TLS only.
//!
//! **Whose a role and a database are** stands in their comments, as JSON with
//! the resource's uid and, where it is not `default`, the input `installation`.
//! What has another comment, or none, is never touched: it is a conflict. Nobody can connect but the database's owner, the resource's role
//! and superusers.
//!
//! **Passwords** are made here. The server gets a SCRAM verifier and never sees
//! them; the daemon encrypts them at once. A new one is set when
//! `password_generation` changes, when it is older than `rotate_after_days`, or
//! when the comment says that somebody else has set one. It becomes the output
//! `password` under a new reference, so that what uses it is rolled out anew.
//! The references before it lead to the new value as well: a deployment that
//! is rolled back gets a password that works. Until pods are replaced, those with
//! the old password can keep connections and open none.
//!
//! **What changes** in a definition is changed in place: owner, connection
//! limit, extensions that come in addition. Another `name` is another, empty
//! database, and the plan says "replace"; the old one goes the way of
//! `on_destroy`. On another `host`, the old one stays where it was, and the log
//! says so. `options` count when a database is made, and never after.
//!
//! **In the end**, `on_destroy` decides. `rename`, the default, renames the
//! database to `NAME_until_DATE_TIME` with connections off, and its role can't
//! log in. That is the last copy: a dump does not fit into what a call may
//! transfer. To drop such copies is left to people.
//!
//! **After a crash** between any two statements, the next call finds what is
//! there and does the rest. Calls for one resource take turns by an advisory lock.

mod fault;
mod inputs;
mod protocol;
mod remove;
mod session;
mod sql;
mod steps;
mod there;

use deployd_plugin_sdk::driver::{
    Action, Driver, Planned, Progress, Provisioned, Removal, Request,
};
use deployd_plugin_sdk::net::Connection;
use deployd_plugin_sdk::{Fault, Host, export_driver, secret};
use inputs::{Inputs, Params, Wanted};
use remove::Names;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use session::{Mode, Server, Session};
use sha2::{Digest, Sha256};
use steps::{NewPassword, Step, Whose};
use there::{Inside, There};

/// The driver.
struct Postgres;

export_driver!(Postgres);

/// References to passwords that lead to the newest: more deployments than
/// anybody goes back.
const PASSWORDS: usize = 16;
/// Random bytes of what stands for a password.
const PASSWORD_ID_BYTES: usize = 8;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// What was made, and which password was set last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct State {
    host: String,
    port: u16,
    database: String,
    role: String,
    password: Password,
}

/// The password that was set last. Its value is in the daemon's vault.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Password {
    /// Stands in the role's comment: nobody else has set another.
    id: String,
    /// How many there were.
    serial: u32,
    /// The input `password_generation` when it was set.
    generation: u32,
    set_at_ms: u64,
}

impl Password {
    fn name(serial: u32) -> String {
        format!("password-{serial}")
    }

    /// The names of those that lead to the newest, it last.
    fn names(&self) -> impl Iterator<Item = String> {
        let many = u32::try_from(PASSWORDS).unwrap_or(u32::MAX);
        let first = self.serial.saturating_sub(many).saturating_add(1).max(1);
        (first..=self.serial).map(Self::name)
    }

    fn reference(&self, uid: &str) -> String {
        secret::reference(uid, &Self::name(self.serial))
    }
}

impl Driver for Postgres {
    type Params = Params;
    type Inputs = Inputs;
    type State = State;

    fn plan(request: &Request<Self>, host: &impl Host) -> Result<Planned, Fault> {
        if request.is_preview() {
            return Ok(Planned::later(request));
        }
        let wanted = Wanted::of(request)?;
        let server = Server::of(host, &request.inputs, wanted.port)?;
        let (there, inside) = looked(&server, request, &wanted)?;
        let whose = whose(request);
        there.check_ours(&whose, &wanted.database, &wanted.role)?;
        let password = why_new_password(request, &wanted, &there, host.now_ms())
            .map(|why| NewPassword { why, verifier: String::new(), id: String::new() });
        let mut steps = steps::of_role(&there, &wanted, &whose, password.as_ref())?;
        steps.extend(steps::of_membership(&there, &wanted));
        steps.extend(steps::of_database(&there, &wanted, &request.inputs, &whose)?);
        let nothing = Inside { extensions: ["plpgsql".to_owned()].into(), may_create: None };
        let found = inside.as_ref().unwrap_or(&nothing);
        steps.extend(steps::of_inside(found, &wanted, &request.inputs));
        let action = match &request.state {
            None => Action::Create,
            Some(state) if moves(state, request, &wanted) => Action::Replace,
            Some(_) if there.database.is_none() => Action::Create,
            Some(_) if steps.is_empty() => Action::None,
            Some(_) => Action::Update,
        };
        let mut planned = Planned::new(action);
        if let (Some(state), Action::Replace) = (&request.state, action) {
            check_move(state, request, &wanted)?;
            planned = planned.line(leaving(state, request, &wanted));
        }
        planned.summary.extend(steps.into_iter().map(|step| step.line));
        let known = request.state.as_ref().filter(|_| password.is_none());
        let known = known.map(|state| &state.password);
        planned.outputs = outputs(request, &wanted, &there, inside.as_ref(), known);
        // What is not there yet will be as wanted.
        planned.outputs.retain(|_, value| !value.is_null());
        Ok(planned)
    }

    fn provision(
        request: &Request<Self>,
        _: Option<&str>,
        host: &impl Host,
    ) -> Result<Progress<State>, Fault> {
        let wanted = Wanted::of(request)?;
        let inputs = &request.inputs;
        let server = Server::of(host, inputs, wanted.port)?;
        let mut session = server.open(&inputs.maintenance_database, Mode::ReadWrite)?;
        there::check_server(&mut session)?;
        lock(&mut session, &request.uid)?;
        let mut there = There::look(&mut session, &wanted.database, &wanted.role)?;
        let whose = whose(request);
        there.check_ours(&whose, &wanted.database, &wanted.role)?;
        let before = before(request, &wanted, &whose)?;
        if let Some(before) = &before {
            // Before anything is done: what it refuses for will be there later, too.
            let old = There::look(&mut session, before.database, before.role)?;
            before.check(&server, &old, inputs.on_destroy)?;
        }

        let why = why_new_password(request, &wanted, &there, host.now_ms());
        let (password, value) = match (why, &request.state) {
            (None, Some(state)) => (state.password.clone(), None),
            (why, state) => {
                let (value, verifier) = session::new_password(host);
                let id = hex(&host.random(PASSWORD_ID_BYTES));
                let why = why.unwrap_or("it is the first");
                let new = NewPassword { why, verifier, id: id.clone() };
                run(host, &mut session, &steps::of_role(&there, &wanted, &whose, Some(&new))?)?;
                there = There::look(&mut session, &wanted.database, &wanted.role)?;
                let password = Password {
                    id,
                    serial: state.as_ref().map_or(1, |s| s.password.serial.saturating_add(1)),
                    generation: inputs.password_generation,
                    set_at_ms: host.now_ms(),
                };
                (password, Some(value))
            }
        };
        run(host, &mut session, &steps::of_role(&there, &wanted, &whose, None)?)?;
        run(host, &mut session, &steps::of_membership(&there, &wanted))?;
        run(host, &mut session, &steps::of_database(&there, &wanted, inputs, &whose)?)?;
        let mut within = server.open(&wanted.database, Mode::ReadWrite)?;
        let inside = Inside::look(&mut within, &wanted.role)?;
        run(host, &mut within, &steps::of_inside(&inside, &wanted, inputs))?;
        let inside = Inside::look(&mut within, &wanted.role)?;
        within.close();

        if let Some(before) = &before {
            let old = There::look(&mut session, before.database, before.role)?;
            before.remove(host, &mut session, &old, inputs.on_destroy)?;
        } else if let Some(state) = request.state.as_ref().filter(|s| moves(s, request, &wanted)) {
            host.warn(&leaving(state, request, &wanted));
        }
        let there = There::look(&mut session, &wanted.database, &wanted.role)?;
        session.close();

        let outputs = outputs(request, &wanted, &there, Some(&inside), Some(&password));
        let secrets =
            value.map(|value| password.names().map(|name| (name, value.clone())).collect());
        let mut provisioned = Provisioned::new(State {
            host: inputs.host.clone(),
            port: wanted.port,
            database: wanted.database,
            role: wanted.role,
            password,
        });
        provisioned.outputs = outputs;
        provisioned.secret_outputs = secrets.unwrap_or_default();
        Ok(provisioned.into())
    }

    fn observe(request: &Request<Self>, host: &impl Host) -> Result<Option<Value>, Fault> {
        let mut wanted = Wanted::of(request)?;
        let Some(state) = &request.state else { return Ok(None) };
        wanted.database.clone_from(&state.database);
        wanted.role.clone_from(&state.role);
        let server = Server::of(host, &request.inputs, wanted.port)?;
        let (there, inside) = looked(&server, request, &wanted)?;
        if !there.database_is_of(&whose(request), &wanted.role) {
            return Ok(None);
        }
        let known = Some(&state.password).filter(|known| there.password() == Some(&known.id));
        let outputs = outputs(request, &wanted, &there, inside.as_ref(), known);
        Ok(Some(Value::Object(outputs)))
    }

    fn destroy(
        request: &Request<Self>,
        _: Option<&str>,
        host: &impl Host,
    ) -> Result<Removal, Fault> {
        let wanted = Wanted::of(request)?;
        let inputs = &request.inputs;
        let names = match &request.state {
            Some(state) => (&state.database, &state.role),
            None => (&wanted.database, &wanted.role),
        };
        let whose = whose(request);
        let names = Names { whose: &whose, database: names.0, role: names.1, role_stays: false };
        let server = Server::of(host, inputs, wanted.port)?;
        let mut session = server.open(&inputs.maintenance_database, Mode::ReadWrite)?;
        there::check_server(&mut session)?;
        lock(&mut session, &request.uid)?;
        let there = There::look(&mut session, names.database, names.role)?;
        names.check(&server, &there, inputs.on_destroy)?;
        names.remove(host, &mut session, &there, inputs.on_destroy)?;
        session.close();
        Ok(Removal::Done)
    }
}

/// What is there, in sessions that can change nothing.
fn looked<H: Host>(
    server: &Server<'_, H>,
    request: &Request<Postgres>,
    wanted: &Wanted,
) -> Result<(There, Option<Inside>), Fault> {
    let mut session = server.open(&request.inputs.maintenance_database, Mode::ReadOnly)?;
    there::check_server(&mut session)?;
    let there = There::look(&mut session, &wanted.database, &wanted.role)?;
    session.close();
    let usable = there.database.as_ref().is_some_and(|database| {
        database.allows_connections
            && !database.is_invalid
            && there.database_is_of(&whose(request), &wanted.role)
    });
    let inside = usable
        .then(|| {
            let mut within = server.open(&wanted.database, Mode::ReadOnly)?;
            let inside = Inside::look(&mut within, &wanted.role)?;
            within.close();
            Ok::<_, Fault>(inside)
        })
        .transpose()?;
    Ok((there, inside))
}

/// Calls for one resource take turns. The lock is gone with the session.
fn lock<C: Connection>(session: &mut Session<C>, uid: &str) -> Result<(), Fault> {
    let digest = Sha256::digest(format!("deployd postgres {uid}"));
    let key = digest.first_chunk().copied().map_or(0, i64::from_be_bytes);
    session.query(
        "waiting for another call about the same resource",
        "select pg_advisory_lock($1::bigint)",
        &[&key.to_string()],
    )?;
    Ok(())
}

fn run<C: Connection>(
    host: &impl Host,
    session: &mut Session<C>,
    steps: &[Step],
) -> Result<(), Fault> {
    for step in steps {
        step.run(session)?;
        host.info(&step.line);
    }
    Ok(())
}

fn whose(request: &Request<Postgres>) -> Whose<'_> {
    let scope = &request.scope;
    let environment = format!("{}/{}", scope.application, scope.environment);
    Whose { uid: &request.uid, installation: &request.inputs.installation, environment }
}

/// Why a password has to be set; none while the last one is good.
fn why_new_password(
    request: &Request<Postgres>,
    wanted: &Wanted,
    there: &There,
    now_ms: u64,
) -> Option<&'static str> {
    let Some(state) = &request.state else { return Some("it is the first") };
    let password = &state.password;
    let age_ms = now_ms.saturating_sub(password.set_at_ms);
    let inputs = &request.inputs;
    if there.role.is_none() || state.role != wanted.role {
        Some("it is the first")
    } else if there.password() != Some(&password.id) {
        Some("the last one was not set by deployd, or not recorded")
    } else if password.generation != inputs.password_generation {
        Some("password_generation has changed")
    } else if inputs.rotate_after_days.is_some_and(|days| age_ms / DAY_MS >= u64::from(days)) {
        Some("it is older than rotate_after_days")
    } else {
        None
    }
}

/// Whether the database is to be another one.
fn moves(state: &State, request: &Request<Postgres>, wanted: &Wanted) -> bool {
    let elsewhere = state.host != request.inputs.host || state.port != wanted.port;
    elsewhere || state.database != wanted.database || state.role != wanted.role
}

/// Refuses another role for the same database: what is in it is the old one's.
fn check_move(state: &State, request: &Request<Postgres>, wanted: &Wanted) -> Result<(), Fault> {
    let here = state.host == request.inputs.host && state.port == wanted.port;
    if here && state.database == wanted.database && state.role != wanted.role {
        return Err(Fault::invalid(
            "/inputs/username",
            format!(
                "the role {:?} owns what is in the database; another one needs another `name` \
                 as well, which is a new database",
                state.role
            ),
        ));
    }
    Ok(())
}

/// The database that another takes the place of, on the same server.
fn before<'a>(
    request: &'a Request<Postgres>,
    wanted: &Wanted,
    whose: &'a Whose<'a>,
) -> Result<Option<Names<'a>>, Fault> {
    let Some(state) = &request.state else { return Ok(None) };
    check_move(state, request, wanted)?;
    let here = state.host == request.inputs.host && state.port == wanted.port;
    Ok((here && state.database != wanted.database).then(|| Names {
        whose,
        database: &state.database,
        role: &state.role,
        role_stays: state.role == wanted.role,
    }))
}

/// What becomes of the one before, for people.
fn leaving(state: &State, request: &Request<Postgres>, wanted: &Wanted) -> String {
    let State { host, port, database, .. } = state;
    if *host != request.inputs.host || *port != wanted.port {
        return format!(
            "a new, empty database; {database:?} on {host}:{port} stays there, and nobody takes it \
             away"
        );
    }
    let way = match request.inputs.on_destroy {
        inputs::OnDestroy::Rename => "is set aside under a dated name",
        inputs::OnDestroy::Keep => "stays there",
        inputs::OnDestroy::Drop => "is dropped, with its data",
        inputs::OnDestroy::RefuseIfNotEmpty => "is dropped if it is empty",
    };
    format!("a new, empty database {:?}; {database:?} {way}", wanted.database)
}

/// What placeholders can refer to, and what drift is seen by.
fn outputs(
    request: &Request<Postgres>,
    wanted: &Wanted,
    there: &There,
    inside: Option<&Inside>,
    password: Option<&Password>,
) -> Map<String, Value> {
    let reference = password.map(|password| password.reference(&request.uid));
    let (role, database) = (there.role.as_ref(), there.database.as_ref());
    let installed = inside.map(|inside| {
        let wanted = wanted.extensions.intersection(&inside.extensions);
        wanted.collect::<Vec<_>>()
    });
    let outputs = json!({
        "host": request.inputs.host,
        "port": wanted.port,
        "name": wanted.database,
        "database": wanted.database,
        "username": wanted.role,
        "password": reference,
        "url": reference.as_ref().map(|reference| url(request, wanted, reference)),
        // References say nothing about values: when the mark that stands for the
        // password is lost, this is what drift is seen by.
        "password_serial": password.map(|password| password.serial),
        "owner": database.map(|database| &database.owner),
        "encoding": database.map(|database| &database.encoding),
        "connection_limit": role.and_then(|role| role.connection_limit),
        "can_log_in": role.map(|role| role.can_login)
            .filter(|_| database.is_none_or(|database| database.allows_connections)),
        "extensions": installed,
    });
    let Value::Object(mut outputs) = outputs else { return Map::new() };
    // The host makes an output of each secret that a call gives it; so they are
    // there after other calls, too.
    for name in password.into_iter().flat_map(Password::names) {
        let reference = secret::reference(&request.uid, &name);
        outputs.insert(name, reference.into());
    }
    outputs
}

/// `postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=…`; passwords are made
/// of letters and digits.
fn url(request: &Request<Postgres>, wanted: &Wanted, password: &str) -> String {
    let inputs = &request.inputs;
    let host = if inputs.host.contains(':') && !inputs.host.starts_with('[') {
        format!("[{}]", inputs.host)
    } else {
        inputs.host.clone()
    };
    format!(
        "postgres://{}:{password}@{host}:{}/{}?sslmode={}",
        percent_encoded(&wanted.role),
        wanted.port,
        percent_encoded(&wanted.database),
        inputs.tls.as_str(),
    )
}

fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
