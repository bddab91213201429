//! What is to be done so that what is there becomes what is wanted. A preview
//! shows it; a provision does it. After a step that was cut short, the same
//! question gives the rest.

use crate::inputs::{Inputs, Wanted};
use crate::session::Session;
use crate::sql::{identifier, literal};
use crate::there::{Inside, Mark, There};
use deployd_plugin_sdk::net::Connection;
use deployd_plugin_sdk::{Fault, Installation};

/// Statements that belong together.
pub(crate) struct Step {
    /// For people.
    pub(crate) line: String,
    statements: Vec<String>,
    /// Whether they are one transaction. Without, each is done whether anybody
    /// waits for its answer or not.
    together: bool,
}

/// A password that is to be set.
pub(crate) struct NewPassword {
    /// Why, for people.
    pub(crate) why: &'static str,
    /// What the server keeps of it.
    pub(crate) verifier: String,
    /// Stands for it.
    pub(crate) id: String,
}

impl Step {
    fn new(line: impl Into<String>, statements: Vec<String>) -> Self {
        Self { line: line.into(), statements, together: true }
    }

    fn one_by_one(line: impl Into<String>, statements: Vec<String>) -> Self {
        Self { line: line.into(), statements, together: false }
    }

    /// Does it.
    pub(crate) fn run<C: Connection>(&self, session: &mut Session<C>) -> Result<(), Fault> {
        let transaction = self.together && self.statements.len() > 1;
        if transaction {
            session.run(&self.line, "begin")?;
        }
        for statement in &self.statements {
            session.run(&self.line, statement)?;
        }
        if transaction {
            session.run(&self.line, "commit")?;
        }
        Ok(())
    }
}

/// What stands in comments.
pub(crate) struct Whose<'a> {
    pub(crate) uid: &'a str,
    pub(crate) installation: &'a Installation,
    pub(crate) environment: String,
}

impl Whose<'_> {
    /// Whether a mark is theirs. Application and environment are for people: the
    /// uid stands for both.
    pub(crate) fn have(&self, mark: &Mark) -> bool {
        mark.resource == self.uid && mark.installation == self.installation.as_str()
    }

    pub(crate) fn mark(&self, password: Option<&str>) -> Mark {
        Mark {
            resource: self.uid.to_owned(),
            environment: self.environment.clone(),
            installation: self.installation.to_string(),
            password: password.map(str::to_owned),
        }
    }

    fn comment(&self, on: &str, password: Option<&str>) -> Result<String, Fault> {
        Ok(format!("comment on {on} is {}", literal(&self.mark(password).text()?)))
    }
}

/// What is to be done to the role.
pub(crate) fn of_role(
    there: &There,
    wanted: &Wanted,
    whose: &Whose<'_>,
    password: Option<&NewPassword>,
) -> Result<Vec<Step>, Fault> {
    let name = identifier(&wanted.role);
    let limit = wanted.connection_limit.map_or("-1".to_owned(), |limit| limit.to_string());
    let set = |password: &NewPassword| format!(" password {}", literal(&password.verifier));
    let mut steps = Vec::new();
    let Some(role) = &there.role else {
        let id = password.map(|password| password.id.as_str());
        let password = password.map(set).unwrap_or_default();
        steps.push(Step::new(
            format!("make the role {:?}", wanted.role),
            vec![
                format!("create role {name} login connection limit {limit}{password}"),
                whose.comment(&format!("role {name}"), id)?,
            ],
        ));
        return Ok(steps);
    };
    if let Some(password) = password {
        steps.push(Step::new(
            format!("set a password for the role {:?}: {}", wanted.role, password.why),
            vec![
                format!("alter role {name}{}", set(password)),
                whose.comment(&format!("role {name}"), Some(&password.id))?,
            ],
        ));
    }
    if !role.can_login {
        let line = format!("let the role {:?} log in", wanted.role);
        steps.push(Step::new(line, vec![format!("alter role {name} login")]));
    }
    if role.connection_limit != wanted.connection_limit {
        let line = format!("limit the role {:?} to {limit} connections", wanted.role);
        steps.push(Step::new(line, vec![format!("alter role {name} connection limit {limit}")]));
    }
    Ok(steps)
}

/// Has us be a member of the role, which who is no superuser needs in order to
/// give it a database.
pub(crate) fn of_membership(there: &There, wanted: &Wanted) -> Vec<Step> {
    let role = there.role.as_ref();
    if role.is_none_or(|role| role.is_ours_to_use) {
        return Vec::new();
    }
    let grant = format!("grant {} to current_user", identifier(&wanted.role));
    vec![Step::new(format!("become a member of the role {:?}", wanted.role), vec![grant])]
}

/// What is to be done to the database, from outside.
pub(crate) fn of_database(
    there: &There,
    wanted: &Wanted,
    inputs: &Inputs,
    whose: &Whose<'_>,
) -> Result<Vec<Step>, Fault> {
    let (database, name) = (&wanted.database, identifier(&wanted.database));
    let role = identifier(&wanted.role);
    let mut steps = Vec::new();
    let mut found = there.database.as_ref();
    if found.is_some_and(|found| found.is_invalid) {
        let line = format!("take away what is left of the database {database:?}");
        steps.push(Step::new(line, vec![format!("drop database {name}")]));
        found = None;
    }
    if found.is_none() {
        let create = create(&name, &role, inputs);
        steps.push(Step::new(format!("make the database {database:?}"), vec![create]));
    }
    if found.is_none_or(|found| found.mark.is_none()) {
        let comment = whose.comment(&format!("database {name}"), None)?;
        steps.push(Step::new(format!("note whose the database {database:?} is"), vec![comment]));
    }
    if found.is_some_and(|found| !found.allows_connections) {
        let allow = format!("alter database {name} allow_connections true");
        steps
            .push(Step::new(format!("let the database {database:?} be connected to"), vec![allow]));
    }
    if found.is_none_or(|found| found.is_open) {
        let revoke = format!("revoke all on database {name} from public");
        let line = format!("close the database {database:?} to other roles");
        steps.push(Step::new(line, vec![revoke]));
    }
    let owner = inputs.owner.as_ref().unwrap_or(&wanted.role);
    let owned_by = found.map_or(&wanted.role, |found| &found.owner);
    if owner != owned_by {
        let alter = format!("alter database {name} owner to {}", identifier(owner));
        let line = format!("make {owner:?} the owner of the database {database:?}");
        steps.push(Step::new(line, vec![alter]));
    }
    let loses_ownership = owned_by == &wanted.role && owner != &wanted.role;
    if loses_ownership || found.is_some_and(|found| !found.lets_role_in) {
        let grant = format!("grant connect, create, temporary on database {name} to {role}");
        let line = format!("let the role {:?} into the database {database:?}", wanted.role);
        steps.push(Step::new(line, vec![grant]));
    }
    Ok(steps)
}

fn create(name: &str, role: &str, inputs: &Inputs) -> String {
    let options = &inputs.options;
    let mut create = format!("create database {name} owner {role}");
    // What is in template1 was made for its own encoding and locale.
    let other = options.encoding.is_some() || options.locale.is_some();
    let template = options.template.as_deref().or(other.then_some("template0"));
    if let Some(template) = template {
        create.push_str(&format!(" template {}", identifier(template)));
    }
    if let Some(encoding) = &options.encoding {
        create.push_str(&format!(" encoding {}", literal(encoding)));
    }
    if let Some(locale) = &options.locale {
        create.push_str(&format!(" locale {}", literal(locale)));
    }
    if let Some(tablespace) = &options.tablespace {
        create.push_str(&format!(" tablespace {}", identifier(tablespace)));
    }
    create
}

/// What is to be done inside the database.
pub(crate) fn of_inside(inside: &Inside, wanted: &Wanted, inputs: &Inputs) -> Vec<Step> {
    let mut steps = Vec::new();
    for extension in wanted.extensions.difference(&inside.extensions) {
        // The search path says where it goes. What is in `public` can't come
        // before what is in `pg_catalog`, and extensions see to themselves. Some
        // take longer than anybody may wait for an answer: one statement by itself
        // is ended by the server all the same, and the next attempt finds it done.
        let path = |path| format!("select pg_catalog.set_config('search_path', '{path}', false)");
        steps.push(Step::one_by_one(
            format!("install the extension {extension:?}"),
            vec![
                path("public"),
                format!("create extension if not exists {}", identifier(extension)),
                path("pg_catalog"),
            ],
        ));
    }
    let other_owner = inputs.owner.as_ref().is_some_and(|owner| *owner != wanted.role);
    if other_owner && inside.may_create == Some(false) {
        let role = identifier(&wanted.role);
        steps.push(Step::new(
            format!("let the role {:?} make tables", wanted.role),
            vec![format!("grant usage, create on schema public to {role}")],
        ));
    }
    steps
}
