//! What the client's commands do.

pub mod adopt;
mod approvals;
mod archives;
mod artifacts;
mod attestations;
mod audit;
mod auth;
mod calendar;
mod compare;
mod debug;
mod deploy;
mod deployments;
mod documents;
mod dora;
mod drafts;
mod drift;
mod environments;
mod flow;
mod hooks;
mod inventory;
mod journal;
mod logs;
mod manifests;
mod named;
mod notifications;
mod offline;
mod packages;
mod plan_text;
mod plugins;
mod policies;
pub mod policy_test;
mod quarantine;
mod rehearse;
mod replay;
mod report;
mod rollback;
mod rollout;
mod secrets;
mod selection;
mod sessions;
mod sets;
mod sources;
mod tokens;
mod validate;

use deployd_core::steering::Steering;
use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use crate::args::{ClientCommand, Globals, SecretText};
use crate::client::{Client, ClientOptions, server_address};
use crate::error::CliError;
use crate::output::{self, Output, Tone, no_list};
use sessions::Sessions;

/// The longest answer to a question that is read.
const ANSWER_MAX: usize = 100;

/// What commands work with.
pub(crate) struct Context<'a> {
    pub(crate) globals: &'a Globals,
    pub(crate) output: &'a mut Output,
    pub(crate) input: &'a mut (dyn Read + Send),
    /// Whether standard input is a person at a keyboard.
    pub(crate) typed: bool,
}

/// Runs a command of the client. Whatever goes wrong is told; the exit code is
/// returned.
pub async fn run(globals: &Globals, command: ClientCommand, output: &mut Output) -> u8 {
    use std::io::IsTerminal as _;
    let mut input = std::io::stdin();
    let typed = input.is_terminal();
    let context = Context { globals, output, input: &mut input, typed };
    run_with(context, command).await
}

pub(crate) async fn run_with(mut context: Context<'_>, command: ClientCommand) -> u8 {
    let done = Box::pin(dispatch(&mut context, command)).await;
    let done = done.and_then(|code| context.output.flush().map(|()| code));
    match done {
        Ok(code) => code,
        Err(error) => {
            tell(context.output, &error);
            error.exit_code()
        }
    }
}

/// Says what went wrong.
pub fn tell(output: &mut Output, error: &CliError) {
    let paint = output.err_paint;
    match error {
        // Nobody is there to be told.
        CliError::Closed => {}
        CliError::Interrupted(note) => output.complain(note),
        CliError::Documents(errors) => {
            for error in errors {
                output.complain(error.to_string());
            }
        }
        error => {
            output.complain(format!("{} {error}", paint.tone(Tone::Bad, "error:")));
            if let CliError::Problem(problem) = error {
                if let Some(help) = problem.help() {
                    output.complain(format!("{} {help}", paint.tone(Tone::Busy, "help:")));
                }
                if let (500.., Some(instance)) = (problem.status, &problem.instance) {
                    output.complain(format!("the daemon's log has more of it: {instance}"));
                }
            }
            if let CliError::Unreachable { .. } = error {
                let help =
                    "is it running there? `deployd serve` runs one, --server says where it is";
                output.complain(format!("{} {help}", paint.tone(Tone::Busy, "help:")));
            }
        }
    }
}

/// Whether a command gives a list for spreadsheets.
fn has_sheet(command: &ClientCommand) -> bool {
    match command {
        ClientCommand::Inventory(_) | ClientCommand::Audit(_) | ClientCommand::Dora(_) => true,
        ClientCommand::Environment(args) => args.at.is_some(),
        _ => false,
    }
}

async fn dispatch(context: &mut Context<'_>, command: ClientCommand) -> Result<u8, CliError> {
    // Before anything is done.
    if context.output.is_sheet() && !has_sheet(&command) {
        return Err(no_list());
    }
    match command {
        ClientCommand::Apply(args) => documents::apply(context, args).await,
        ClientCommand::Validate(args) => validate::validate(context, &args),
        ClientCommand::Deploy(args) => deploy::deploy(context, args).await,
        ClientCommand::Plan(args) => deploy::plan(context, args).await,
        ClientCommand::Artifact(command) => artifacts::artifact(context, command).await,
        ClientCommand::Watch(args) => deploy::watch(context, args).await,
        ClientCommand::Logs(args) => logs::logs(context, args).await,
        ClientCommand::History(args) => deployments::history(context, args).await,
        ClientCommand::Show(args) => deployments::show(context, args).await,
        ClientCommand::Debug(args) => debug::debug(context, args).await,
        ClientCommand::Manifests(args) => manifests::manifests(context, args).await,
        ClientCommand::Diff(args) => compare::diff(context, args).await,
        ClientCommand::Patch(args) => sets::patch(context, args).await,
        ClientCommand::Set(command) => sets::set(context, command).await,
        ClientCommand::Draft(command) => drafts::draft(context, command).await,
        ClientCommand::Cancel(args) => deployments::cancel(context, args).await,
        ClientCommand::Rollout(args) => rollout::rollout(context, args).await,
        ClientCommand::Pause(args) => {
            deployments::steer(context, args.steered, Steering::Pause).await
        }
        ClientCommand::Resume(args) => {
            deployments::steer(context, args.steered, Steering::Resume).await
        }
        ClientCommand::Promote(args) => flow::promote(context, args).await,
        ClientCommand::Approve(args) => approvals::approve(context, args).await,
        ClientCommand::Refuse(args) => approvals::refuse(context, args).await,
        ClientCommand::Attestations(args) => attestations::standing(context, &args).await,
        ClientCommand::Approvals(command) => approvals::approvals(context, command).await,
        ClientCommand::Reviews(command) => approvals::reviews(context, command).await,
        ClientCommand::Flow(command) => flow::flow(context, command).await,
        ClientCommand::Why(args) => flow::why(context, args).await,
        ClientCommand::Retry(args) => {
            deployments::steer(context, args.steered, Steering::Retry).await
        }
        ClientCommand::Redeploy(args) => deploy::redeploy(context, args).await,
        ClientCommand::Rollback(args) => rollback::rollback(context, args).await,
        ClientCommand::Clone(args) => rollback::clone(context, args).await,
        ClientCommand::Rehearse(args) => rehearse::rehearse(context, args).await,
        ClientCommand::Replay(args) => replay::replay(context, args).await,
        ClientCommand::Export(args) => archives::export(context, args).await,
        ClientCommand::Import(args) if args.manifests.is_empty() => {
            archives::import(context, args).await
        }
        // Whoever makes the binary has plugins, and does it.
        ClientCommand::Import(_) | ClientCommand::Adopt(_) => {
            Err(CliError::Usage("expected a binary that renders what is proposed".to_owned()))
        }
        ClientCommand::Environments => environments::environments(context).await,
        ClientCommand::Environment(args) => environments::environment(context, args).await,
        ClientCommand::Resources(args) => environments::resources(context, args).await,
        ClientCommand::Inventory(args) => inventory::inventory(context, args).await,
        ClientCommand::Calendar(args) => calendar::calendar(context, args).await,
        ClientCommand::Policy(command) => policies::policy(context, command).await,
        ClientCommand::Drift(args) => drift::drift(context, args).await,
        ClientCommand::Quarantine(command) => quarantine::quarantine(context, command).await,
        ClientCommand::Documents(args) => documents::documents(context, args).await,
        ClientCommand::Schema(args) => offline::schema(context, &args),
        ClientCommand::Hooks(command) => hooks::hooks(context, command).await,
        ClientCommand::Notifications(command) => {
            notifications::notifications(context, command).await
        }
        ClientCommand::Secret(command) => secrets::secret(context, command).await,
        ClientCommand::Plugin(command) => plugins::plugin(context, command).await,
        ClientCommand::Token(command) => tokens::token(context, command).await,
        ClientCommand::Auth(command) => auth::auth(context, command).await,
        ClientCommand::Whoami => tokens::whoami(context).await,
        ClientCommand::Journal(command) => journal::journal(context, command).await,
        ClientCommand::Dora(args) => dora::dora(context, args).await,
        ClientCommand::Audit(args) => audit::audit(context, args).await,
        ClientCommand::Backup(args) => journal::backup(context, args).await,
        ClientCommand::Completions(args) => offline::completions(context, &args),
        ClientCommand::Manual(args) => offline::manual(context, &args),
        ClientCommand::Openapi => offline::openapi(context).await,
    }
}

impl Context<'_> {
    /// Asks whoever types. Anything but a yes is a no.
    pub(crate) fn confirmed(&mut self, question: &str) -> Result<bool, CliError> {
        self.output.complain(question);
        let mut answer = String::new();
        let mut byte = [0u8];
        // Until the end of the line: what is typed after it is nobody's answer.
        while answer.len() < ANSWER_MAX && self.input.read(&mut byte).is_ok_and(|read| read == 1) {
            match byte {
                [b'\n'] => break,
                [byte] => answer.push(char::from(byte)),
            }
        }
        let answer = answer.trim().to_ascii_lowercase();
        Ok(matches!(answer.as_str(), "y" | "yes"))
    }

    /// A client of the daemon that the command line names.
    pub(crate) fn client(&mut self) -> Result<Client, CliError> {
        let token = self.token()?;
        self.client_with(token)
    }

    /// The same with this token, or with none.
    pub(crate) fn client_with(&self, token: Option<SecretText>) -> Result<Client, CliError> {
        Client::new(ClientOptions { token, ..self.options()? })
    }

    /// How servers are reached, without a token.
    pub(crate) fn options(&self) -> Result<ClientOptions, CliError> {
        let globals = self.globals;
        let certificates = match &globals.ca_file {
            Some(path) => Some(std::fs::read(path).map_err(|error| CliError::file(path, error))?),
            None => None,
        };
        let mut options = ClientOptions::new(&globals.server);
        options.timeout = Duration::from_secs(globals.timeout);
        options.idempotency_key.clone_from(&globals.idempotency_key);
        options.certificates = certificates;
        Ok(options)
    }

    /// The sessions that are kept.
    fn sessions(&self) -> Result<Sessions, CliError> {
        let path = usual_file("sessions.json").ok_or_else(|| {
            let what = "there is no place for sessions: neither XDG_CONFIG_HOME nor HOME is set";
            CliError::Failed(what.to_owned())
        })?;
        Sessions::read(path)
    }

    /// The token: as given, or from the file that was given, or of the session with this
    /// daemon, or from the usual file where there is one.
    fn token(&mut self) -> Result<Option<SecretText>, CliError> {
        if let Some(token) = &self.globals.token {
            return Ok(Some(token.clone()));
        }
        if let Some(path) = &self.globals.token_file {
            return read_token(path).map(Some).map_err(|error| CliError::file(path, error));
        }
        if let Some(token) = self.session()? {
            return Ok(Some(token));
        }
        let Some(path) = usual_file("token") else { return Ok(None) };
        match read_token(&path) {
            Ok(token) => Ok(Some(token)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(CliError::file(&path, error)),
        }
    }

    /// The token of the session with this daemon, while it lasts.
    fn session(&mut self) -> Result<Option<SecretText>, CliError> {
        if usual_file("sessions.json").is_none() {
            return Ok(None);
        }
        let server = server_address(&self.globals.server)?;
        let sessions = self.sessions()?;
        let Some(kept) = sessions.at(&server) else { return Ok(None) };
        if kept.expires > self.output.now {
            return Ok(Some(SecretText::new(&kept.secret)));
        }
        let (name, until) = (output::clean(&kept.name.0), kept.expires);
        let ended = format!(
            "the session of {name} has ended at {until}; `deployd auth login` begins another"
        );
        self.output.note(ended)?;
        Ok(None)
    }
}

fn read_token(path: &std::path::Path) -> std::io::Result<SecretText> {
    Ok(SecretText::new(std::fs::read_to_string(path)?.trim()))
}

/// A file of `deployd/` where configuration of programs is kept.
fn usual_file(name: &str) -> Option<PathBuf> {
    let directory =
        |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let configuration = directory("XDG_CONFIG_HOME")
        .or_else(|| directory("APPDATA"))
        .or_else(|| directory("HOME").map(|home| home.join(".config")))?;
    Some(configuration.join("deployd").join(name))
}

#[cfg(test)]
mod tests;
