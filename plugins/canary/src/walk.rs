//! From the steps of a configuration to those of a program.

use crate::config::{Config, Step};
use crate::levels::{self, CANARY};
use deployd_plugin_sdk::Fault;
use deployd_plugin_sdk::strategy::Context;
use rollout::{OnInconclusive, Parts, Program, Programmed, Split};

/// What a person is told who has to promote.
const PROMPT: &str = "the canary is looked at: promote to go on";

impl Programmed for Config {
    fn program(context: &Context<Self>, hasty: Option<usize>) -> Result<Program<'_>, Fault> {
        let config = &context.config;
        let parts = Parts::of(&context.workloads)?;
        let levels = levels::of(config, &parts.tracked())?;
        let goes_back = context.workloads.iter().filter(|one| one.changed).all(|one| one.recent);
        let parts = if goes_back { Parts::in_place(&context.workloads)? } else { parts };
        let mut program = Program::new(&context.workloads, config.deadline.into(), hasty);
        let percent = levels.first().map_or(1, |first| first.percent);
        let mut split = Split::prepare(&mut program, &parts, CANARY, percent);
        let steps = if parts.tracked().is_empty() { &[] } else { config.steps.as_slice() };
        for (step, level) in steps.iter().zip(levels) {
            if split.program.is_hasty() {
                break;
            }
            if *split.level() != level {
                split.go_to(level);
            }
            wait(config, step, &mut split);
        }
        split.promote();
        Ok(program)
    }

    fn on_inconclusive(&self) -> OnInconclusive {
        self.on_inconclusive
    }
}

fn wait(config: &Config, step: &Step, split: &mut Split<'_, '_>) {
    let (background, checked) = (&config.background.checks, split.checked());
    match step {
        Step::Wait(duration) => split.program.check(background, &checked, *duration),
        Step::Pause(message) => {
            let message = message.as_deref().unwrap_or(PROMPT);
            split.program.pause_checked(message, background, &checked);
        }
        Step::Checks(checks, duration) => {
            let all = [checks.as_slice(), background].concat();
            split.program.check(&all, &checked, *duration);
        }
        Step::Weight(_) | Step::Scale(_) | Step::Headers(_) | Step::Mirror(_) => {}
    }
}
