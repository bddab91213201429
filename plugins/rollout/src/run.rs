//! Goes through a program, and back when something fails.

use crate::Program;
use deployd_plugin_sdk::strategy::{
    Action, CHECKS_INCONCLUSIVE, CheckResult, Context, Decision, Observation, Promotion, Verdict,
};
use deployd_plugin_sdk::{Fault, Log, shown};
use serde::{Deserialize, Serialize};

/// A strategy's configuration, of which a program is made.
pub trait Programmed: Sized {
    /// The program. `hasty` is handed to [`Program::new`]; the steps before it do
    /// not depend on it.
    fn program(context: &Context<Self>, hasty: Option<usize>) -> Result<Program<'_>, Fault>;

    /// What is done when something fails.
    fn on_failure(&self) -> OnFailure {
        OnFailure::RollBack
    }

    /// What is done when checks can't tell.
    fn on_inconclusive(&self) -> OnInconclusive {
        OnInconclusive::RollBack
    }
}

/// What is done when something fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// What ran before is put back.
    #[default]
    RollBack,
    /// A person is waited for.
    Stop,
}

/// What is done when checks can't tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnInconclusive {
    /// A person is waited for, who goes on, has them run again, or aborts.
    #[default]
    Pause,
    /// It counts as a failure.
    RollBack,
}

/// Where a rollout stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The step of the program that was begun last.
    at: usize,
    /// The step from which on a person wants all that remains at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hasty: Option<usize>,
    doing: Doing,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Doing {
    /// The step.
    Forward,
    /// It failed, and was left for a person.
    Stopped,
    /// Its checks could not tell, and a person was asked.
    Asked,
    /// It failed, and this step of what is done then was begun last.
    Back { step: usize, reason: String },
    /// `complete` or `roll-back` was said: nothing may follow.
    Ended,
}

/// The first action.
pub fn start<C: Programmed>(context: &Context<C>) -> Result<Decision<State>, Fault> {
    forward(context, 0, None)
}

/// The next action, after what came of the last one.
pub fn next<C: Programmed>(
    context: &Context<C>,
    state: &State,
    observation: &Observation,
    log: &impl Log,
) -> Result<Decision<State>, Fault> {
    if let Observation::Other = observation {
        log.warn("an outcome that this strategy does not know: taken for a failure");
    }
    match &state.doing {
        Doing::Ended => Err(Fault::conflict("this rollout has ended")),
        Doing::Forward => at_step(context, state, observation),
        Doing::Stopped => match observation {
            // Whoever resumes a rollout that has stopped wants what failed tried again.
            Observation::Done { .. } | Observation::Promoted { .. } | Observation::Retried => {
                again(context, state)
            }
            _ => go_back(context, state, observation),
        },
        Doing::Asked => match observation {
            Observation::Done { .. } => pass(context, state, Promotion::Step),
            Observation::Promoted { scope } => pass(context, state, *scope),
            Observation::Retried => forward(context, state.at, state.hasty),
            _ => go_back(context, state, observation),
        },
        Doing::Back { step, reason } => {
            going_back(context, state, *step, reason.clone(), observation)
        }
    }
}

fn at_step<C: Programmed>(
    context: &Context<C>,
    state: &State,
    observation: &Observation,
) -> Result<Decision<State>, Fault> {
    let program = C::program(context, state.hasty)?;
    let step = program.steps().get(state.at).ok_or_else(|| unknown(state))?;
    match observation {
        Observation::Done { .. } => forward(context, state.at.saturating_add(1), state.hasty),
        Observation::Promoted { scope } if step.waits() => pass(context, state, *scope),
        // What is not waited for by choice is not left out, whoever wants it.
        Observation::Promoted { scope: Promotion::All } => {
            let hasty = state.hasty.unwrap_or(state.at.saturating_add(1));
            forward(context, state.at, Some(hasty))
        }
        Observation::Promoted { .. } | Observation::Retried => {
            forward(context, state.at, state.hasty)
        }
        Observation::Failed { code, .. }
            if code == CHECKS_INCONCLUSIVE
                && matches!(step.action, Action::RunChecks { .. })
                && context.config.on_inconclusive() == OnInconclusive::Pause =>
        {
            Ok(paused(&program, Doing::Asked, state, reason(observation)))
        }
        Observation::Failed { .. } | Observation::Other
            if context.config.on_failure() == OnFailure::Stop =>
        {
            Ok(paused(&program, Doing::Stopped, state, reason(observation)))
        }
        _ => go_back(context, state, observation),
    }
}

/// Begins a step.
fn forward<C: Programmed>(
    context: &Context<C>,
    at: usize,
    hasty: Option<usize>,
) -> Result<Decision<State>, Fault> {
    let program = C::program(context, hasty)?;
    let state = State { at, hasty, doing: Doing::Forward };
    let step = program.steps().get(at).ok_or_else(|| unknown(&state))?;
    let is_end = step.action == Action::Complete;
    Ok(Decision {
        progress: if is_end { 100 } else { progress(&program, at) },
        action: step.action.clone(),
        message: step.message.clone(),
        state: if is_end { State { doing: Doing::Ended, ..state } } else { state },
    })
}

/// Ends a wait.
fn pass<C: Programmed>(
    context: &Context<C>,
    state: &State,
    scope: Promotion,
) -> Result<Decision<State>, Fault> {
    let after = state.at.saturating_add(1);
    if scope == Promotion::All {
        return forward(context, after, Some(state.hasty.unwrap_or(after)));
    }
    let program = C::program(context, state.hasty)?;
    let also = program.steps().get(state.at).map_or(0, |step| step.also);
    forward(context, after.saturating_add(also), state.hasty)
}

/// Tries what failed again: what did not become ready is applied again, too.
fn again<C: Programmed>(context: &Context<C>, state: &State) -> Result<Decision<State>, Fault> {
    let program = C::program(context, state.hasty)?;
    let is = |at: usize, such: fn(&Action) -> bool| {
        program.steps().get(at).is_some_and(|step| such(&step.action))
    };
    let awaits = |action: &Action| matches!(action, Action::AwaitReady { .. });
    let applies = |action: &Action| matches!(action, Action::Apply { .. });
    let mut at = state.at;
    while at > 0 && is(at, awaits) {
        at -= 1;
    }
    while at > 0 && is(at, applies) && is(at - 1, applies) {
        at -= 1;
    }
    forward(context, if is(at, applies) { at } else { state.at }, state.hasty)
}

fn paused(program: &Program<'_>, doing: Doing, state: &State, reason: String) -> Decision<State> {
    Decision {
        state: State { doing, ..state.clone() },
        message: format!("stopped: {reason}"),
        action: Action::Pause { message: reason },
        progress: progress(program, state.at),
    }
}

fn go_back<C: Programmed>(
    context: &Context<C>,
    state: &State,
    observation: &Observation,
) -> Result<Decision<State>, Fault> {
    back(context, state, 0, reason(observation))
}

fn going_back<C: Programmed>(
    context: &Context<C>,
    state: &State,
    step: usize,
    reason: String,
    observation: &Observation,
) -> Result<Decision<State>, Fault> {
    let program = C::program(context, state.hasty)?.back_from(state.at)?;
    let failed = matches!(
        observation,
        Observation::Failed { .. } | Observation::Other | Observation::Aborted { .. }
    );
    let last = program.steps().get(step).map(|step| &step.action);
    match last {
        // Traffic may still go to the tracks: they stay until the engine has
        // brought back the rest. Too few of the old that work are better than what
        // has failed, so that everything else goes on.
        Some(Action::Shift { .. }) if failed => back(context, state, usize::MAX, reason),
        _ => back(context, state, step.saturating_add(1), reason),
    }
}

/// Begins a step of what is done when something has failed; after the last, what
/// ran before is put back.
fn back<C: Programmed>(
    context: &Context<C>,
    state: &State,
    step: usize,
    reason: String,
) -> Result<Decision<State>, Fault> {
    let program = C::program(context, state.hasty)?;
    let back = program.back_from(state.at)?;
    let progress = progress(&program, state.at);
    Ok(match back.steps().get(step) {
        Some(next) => Decision {
            action: next.action.clone(),
            message: format!("going back: {}", next.message),
            state: State { doing: Doing::Back { step, reason }, ..state.clone() },
            progress,
        },
        None => Decision {
            message: format!("rolling back: {reason}"),
            action: Action::RollBack { reason },
            state: State { doing: Doing::Ended, ..state.clone() },
            progress,
        },
    })
}

/// Why a rollout goes back or stops.
fn reason(observation: &Observation) -> String {
    match observation {
        Observation::Aborted { message } if message.is_empty() => {
            "aborted: a person wanted it".to_owned()
        }
        Observation::Aborted { message } => shown(&format!("aborted: {message}")),
        Observation::Failed { code, message, checks, .. } => {
            if !message.is_empty() {
                return shown(message);
            }
            let not_passed = checks.iter().filter(|one| one.verdict != Verdict::Passed);
            let said: Vec<String> = not_passed
                .map(|CheckResult { name, message, .. }| format!("{name}: {message}"))
                .collect();
            match said.is_empty() {
                true => shown(if code.is_empty() { "it failed" } else { code }),
                false => shown(&said.join("; ")),
            }
        }
        _ => "unknown outcome".to_owned(),
    }
}

fn progress(program: &Program<'_>, at: usize) -> u8 {
    let percent = at.saturating_mul(100).checked_div(program.steps().len()).unwrap_or(100);
    u8::try_from(percent.min(100)).unwrap_or(100)
}

fn unknown(state: &State) -> Fault {
    let State { at, .. } = state;
    Fault::conflict(format!("there is no step {at}: the state is not one of this rollout"))
}
